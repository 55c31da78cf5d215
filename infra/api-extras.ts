/** What an API has by setting only: a name of its own, IPv6, a web application firewall. */
import { CfnOutput, type CfnResource, Stack } from "aws-cdk-lib";
import {
  DomainName,
  EndpointType,
  type IRestApi,
  type RestApi,
  SecurityPolicy,
} from "aws-cdk-lib/aws-apigateway";
import { Certificate } from "aws-cdk-lib/aws-certificatemanager";
import { CfnRecordSet } from "aws-cdk-lib/aws-route53";
import { CfnWebACL, CfnWebACLAssociation } from "aws-cdk-lib/aws-wafv2";
import type { DeploymentSettings, DomainSettings } from "./settings.ts";

export function addDomain(
  api: RestApi,
  { name, certificateArns, hostedZoneId }: DomainSettings,
  { regions, ipAddressType }: Pick<DeploymentSettings, "regions" | "ipAddressType">,
): void {
  const { region } = Stack.of(api);
  const certificateArn =
    certificateArns.find((arn) => arn.split(":")[3] === region) ?? certificateArns[0] ?? "";
  const domain = new DomainName(api, "Domain", {
    domainName: name,
    certificate: Certificate.fromCertificateArn(api, "Certificate", certificateArn),
    endpointType: EndpointType.REGIONAL,
    securityPolicy: SecurityPolicy.TLS_1_2,
    mapping: api as IRestApi,
  });
  if (ipAddressType === "dualstack") setDualStack(domain);
  new CfnOutput(api, "DomainTarget", { value: domain.domainNameAliasDomainName });
  if (hostedZoneId === undefined) return;
  for (const type of ipAddressType === "dualstack" ? ["A", "AAAA"] : ["A"]) {
    new CfnRecordSet(api, `Record${type}`, {
      hostedZoneId,
      name,
      type,
      aliasTarget: {
        dnsName: domain.domainNameAliasDomainName,
        hostedZoneId: domain.domainNameAliasHostedZoneId,
      },
      // Clients get the mirror with the lowest latency.
      ...(regions.length > 1 && { region, setIdentifier: region }),
    });
  }
}

export function setDualStack(owner: RestApi | DomainName): void {
  const resource = owner.node.defaultChild as CfnResource;
  resource.addPropertyOverride("EndpointConfiguration.IpAddressType", "dualstack");
}

/** One rule, by address: what it refuses costs no function. Source: AWS WAF, rate-based rule statements. */
export function addWaf(api: RestApi, requestsPerFiveMinutes: number): void {
  const visibility = (metricName: string) => ({
    metricName: `${Stack.of(api).stackName}-${metricName}`,
    cloudWatchMetricsEnabled: true,
    sampledRequestsEnabled: false,
  });
  const firewall = new CfnWebACL(api, "Firewall", {
    scope: "REGIONAL",
    defaultAction: { allow: {} },
    visibilityConfig: visibility("firewall"),
    rules: [
      {
        name: "requests-of-an-address",
        priority: 0,
        action: {
          block: {
            customResponse: {
              responseCode: 429,
              responseHeaders: [{ name: "Retry-After", value: "60" }],
            },
          },
        },
        statement: { rateBasedStatement: { limit: requestsPerFiveMinutes, aggregateKeyType: "IP" } },
        visibilityConfig: visibility("requests-of-an-address"),
      },
    ],
  });
  new CfnWebACLAssociation(api, "FirewallAssociation", {
    webAclArn: firewall.attrArn,
    resourceArn: api.deploymentStage.stageArn,
  });
}
