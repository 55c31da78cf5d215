/** Checks of a deployment that look at AWS, or change it for some minutes. */
import { gitAuthorization } from "../../../../lib/bitbucket/credential.ts";
import { type DeploymentCheck, type DeploymentTargets, judged, seen } from "./check.ts";
import { clonedLargeWhileTierStops, clonedLargeWithoutTier } from "./git.ts";

const WAIT_SECONDS = 10;
/** Requests that the authorizer fails; its alarm counts them. */
const FAILED_REQUESTS = 2;

function ask({ mirrorUrl, account }: DeploymentTargets, path: string): Promise<Response> {
  const headers = { authorization: gitAuthorization(account) ?? "" };
  return fetch(`${mirrorUrl}/${path}`, { headers, redirect: "manual", signal: AbortSignal.timeout(60_000) });
}

function stackOf({ stack }: DeploymentTargets) {
  if (stack === undefined) throw new Error("no stack");
  return stack;
}

export const AWS_CHECKS: readonly DeploymentCheck[] = [
  {
    name: "CloudWatch makes metrics of the log lines",
    settles: ['CloudWatch makes metrics without dimensions of the log lines (`"Dimensions":[[]]`)'],
    needs: ["stack"],
    async run(targets) {
      const { names, dimensions } = await stackOf(targets).metrics();
      if (!names.includes("Clones"))
        return judged(
          `no metric Clones among ${names.length}: a first one takes up to 15 minutes after a clone`,
        );
      const repeated = names.length > new Set(names).size;
      const problem =
        dimensions.length > 0 ? `dimensions: ${[...new Set(dimensions)].join(", ")}` : undefined;
      return judged(problem ?? (repeated ? "metrics are there twice" : undefined), `${names.length} metrics`);
    },
    advice: "See the lines with _aws in the git function's log.",
  },
  {
    name: "API Gateway answers 429 when as many functions run as are reserved",
    settles: ["API Gateway answers 429 when as many functions run as are reserved"],
    needs: ["account", "stack", "changes"],
    run: (targets) =>
      stackOf(targets).withOneExecution("StatusFunction", async () => {
        const path = `-/repositories/${targets.repository}/wait?id=${"0".repeat(40)}&timeout=${WAIT_SECONDS}`;
        const answers = await Promise.all([ask(targets, path), ask(targets, path)]);
        const statuses = answers.map(({ status }) => status).toSorted();
        return judged(statuses.includes(429) ? undefined : `answers ${statuses.join(" and ")}`);
      }),
    advice: "If it is 500, the gateway response INTEGRATION_FAILURE does not mean this.",
  },
  {
    name: "API Gateway's access log names failures of the authorizer",
    settles: ["API Gateway's access log names failures of the authorizer"],
    needs: ["account", "stack", "changes"],
    run: (targets) =>
      stackOf(targets).withoutTime("AuthorizerFunction", async () => {
        // Not one that the API has remembered.
        const paths = Array.from(
          { length: FAILED_REQUESTS },
          (_, index) => `${targets.repository}.git/info/refs?service=git-upload-pack&nearside=${index}`,
        );
        const statuses: number[] = [];
        for (const path of paths) statuses.push((await ask(targets, path)).status);
        if (!statuses.includes(503)) return judged(`answers ${statuses.join(", ")}, expected 503`);
        return seen("503; look for the metric AuthorizerFailures some minutes later");
      }),
    advice: "See the authorizer's log: it may be fast enough for a second.",
  },
  {
    name: "tasks of the stream tier stop without cutting a clone",
    settles: ["Tasks stop without cutting a clone"],
    needs: ["account", "stack", "changes", "large"],
    run: (targets) => clonedLargeWhileTierStops(targets, stackOf(targets)),
    advice: "A clone of more than two minutes is cut: see the tier's log, and docs/large-repositories.md.",
  },
  {
    name: "without a task of the stream tier, large repositories are served as without a tier",
    settles: ["The function sees that the tier is away"],
    needs: ["account", "stack", "changes", "large"],
    async run(targets) {
      const outcome = await stackOf(targets).withoutTier(() => clonedLargeWithoutTier(targets));
      return outcome ?? { status: "skipped", detail: "the deployment has no stream tier" };
    },
    advice: "See the git function's log for tier:away.",
  },
  {
    name: "CloudWatch gives charts by JSON",
    settles: [
      "CloudWatch gives the pages function its charts by JSON (`GraniteServiceVersion20100801.GetMetricData`)",
    ],
    needs: ["stack"],
    async run(targets) {
      const status = await stackOf(targets).chartStatus();
      return judged(status === "Complete" ? undefined : `it answers ${status}`, "by these credentials");
    },
    advice: "See admin:metrics-failed in the log of the function for pages.",
  },
];
