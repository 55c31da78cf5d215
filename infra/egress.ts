/** A network whose requests leave through one address: Bitbucket's allow lists can name it. */
import { CfnOutput } from "aws-cdk-lib";
import { GatewayVpcEndpointAwsService, IpAddresses, type IVpc, SubnetType, Vpc } from "aws-cdk-lib/aws-ec2";
import { PolicyStatement, type Role } from "aws-cdk-lib/aws-iam";
import type { Construct } from "constructs";

/** One gateway: a second one would be a second address, and another 35 dollars a month. */
export function fixedEgress(scope: Construct): IVpc {
  const vpc = new Vpc(scope, "Egress", {
    ipAddresses: IpAddresses.cidr("10.17.0.0/20"),
    maxAzs: 2,
    natGateways: 1,
    subnetConfiguration: [
      { name: "nat", subnetType: SubnetType.PUBLIC, cidrMask: 28 },
      // An address for each execution environment that uses the network, at worst.
      { name: "functions", subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 22 },
    ],
    // The bucket's traffic does not go through the gateway.
    gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
  });
  const [nat] = vpc.publicSubnets;
  const address = nat?.node.tryFindChild("EIP");
  if (address !== undefined) new CfnOutput(scope, "EgressAddress", { value: addressOf(address) });
  return vpc as IVpc;
}

function addressOf(eip: unknown): string {
  return (eip as { readonly ref: string }).ref;
}

/** As Lambda needs them to attach a function. Source: AWS Lambda, "Required IAM permissions" for a VPC. */
export function grantNetwork(role: Role): void {
  role.addToPrincipalPolicy(
    new PolicyStatement({
      actions: [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
      ],
      resources: ["*"],
    }),
  );
}
