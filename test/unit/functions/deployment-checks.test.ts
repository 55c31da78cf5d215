import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { checkDeployment, DEPLOYMENT_CHECKS } from "../../../functions/cli/doctor/check-deployment.ts";
import { deployedStack } from "../../../functions/cli/doctor/deployed-stack.ts";
import { BY_HAND } from "../../../functions/cli/doctor/deployment/by-hand.ts";
import { withGit } from "../../../functions/cli/doctor/deployment/git.ts";
import { REQUEST_CHECKS } from "../../../functions/cli/doctor/deployment/requests.ts";
import { ConfigError } from "../../../lib/errors.ts";
import { runCli } from "../../support/cli.ts";

/** Lines that need no deployment. */
const ELSEWHERE = [
  "Conditional writes of AWS's S3, above all `If-Match` on multipart uploads",
  "`compose.yaml` runs as it is",
  "`setup.ps1` works in Windows PowerShell 5.1 and in PowerShell 7; it was only read, and parsed without an error",
  "macOS and Windows",
];

test("each line of docs/unverified.md is a check of doctor, or is left to people for a reason", () => {
  const rows = readFileSync("docs/unverified.md", "utf8").matchAll(/^\| (?!---|open \|)(.*?)(?<!\\) \| /gm);
  const lines = [...rows].map(([, line = ""]) => line);
  const checked = DEPLOYMENT_CHECKS.flatMap(({ settles }) => settles);
  expect(lines.toSorted()).toEqual([...checked, ...Object.keys(BY_HAND), ...ELSEWHERE].toSorted());
});

const URL_OF_STACK = "https://git.example.com/v1";

/** Answers as AWS does, and notes what is asked. */
function fakeAws(more: Readonly<Record<string, string>> = {}) {
  const member = (type: string, id: string, physicalId: string) =>
    `<member><PhysicalResourceId>${physicalId}</PhysicalResourceId><LogicalResourceId>${id}</LogicalResourceId><ResourceType>${type}</ResourceType></member>`;
  const first = member("AWS::Lambda::Function", "StatusFunctionWatcher12345678", "other");
  const second =
    member("AWS::Lambda::Function", "StatusFunctionABCDEF01", "Nearside-Status") +
    member("AWS::ECS::Service", "StreamTierServiceABCDEF01", "arn:aws:ecs:eu-west-1:1:service/tier/one");
  const asked: string[] = [];
  const send = async (service: string, path: string, { method = "GET", body, headers }: RequestInit = {}) => {
    const parameters = new URLSearchParams(String(body));
    const operation = parameters.get("Action") ?? new Headers(headers).get("x-amz-target")?.split(".")[1];
    const question = operation ?? `${method} ${path}`;
    const sent = typeof body === "string" && body.startsWith("{") ? ` ${body}` : "";
    asked.push(`${service} ${question}${sent}`);
    if (operation === "ListStackResources")
      return parameters.has("NextToken") ? second : `${first}<NextToken>more</NextToken>`;
    if (operation === "DescribeStacks")
      return `<member><Outputs><member><OutputKey>Page</OutputKey><OutputValue>x</OutputValue></member><member><OutputValue>${URL_OF_STACK}/</OutputValue><OutputKey>GitUrl</OutputKey></member></Outputs></member>`;
    return more[question] ?? "";
  };
  const stackOf = (mirrorUrl: string) =>
    deployedStack({ stackPrefix: "Nearside", mirrorUrl, send, appliedMs: 0 });
  return { asked, stackOf, stack: stackOf(URL_OF_STACK) };
}

const listed = Array.from({ length: 2 }, () => "cloudformation ListStackResources");

test.each([
  [
    '{"ReservedConcurrentExecutions":20}',
    'PUT /2017-10-31/functions/Nearside-Status/concurrency {"ReservedConcurrentExecutions":20}',
  ],
  ["{}", "DELETE /2017-10-31/functions/Nearside-Status/concurrency"],
])("what was reserved, %s, is reserved again, also after a failure", async (reserved, restored) => {
  const path = "/functions/Nearside-Status/concurrency";
  const { asked, stack } = fakeAws({ [`GET /2019-09-30${path}`]: reserved });
  const run = () => Promise.reject(new Error("broken"));
  await expect(stack.withOneExecution("StatusFunction", run)).rejects.toThrow("broken");
  expect(asked).toEqual([
    ...listed,
    `lambda GET /2019-09-30${path}`,
    "cloudformation DescribeStacks",
    `lambda PUT /2017-10-31${path} {"ReservedConcurrentExecutions":1}`,
    `lambda ${restored}`,
  ]);
});

test("a function gets its memory and time back", async () => {
  const path = "/2015-03-31/functions/Nearside-Status/configuration";
  const { asked, stack } = fakeAws({
    [`GET ${path}`]: '{"MemorySize":512,"Timeout":29}',
  });
  expect(await stack.withoutTime("StatusFunction", async () => "seen")).toBe("seen");
  expect(asked.slice(-4)).toEqual([
    `lambda GET ${path}`,
    "cloudformation DescribeStacks",
    `lambda PUT ${path} {"MemorySize":128,"Timeout":1}`,
    `lambda PUT ${path} {"MemorySize":512,"Timeout":29}`,
  ]);
  await expect(stack.withOneExecution("NoFunction", async () => 1)).rejects.toThrow("has no NoFunction");
});

test("without the tier means that no task of it runs any more", async () => {
  const service = '"cluster":"tier","service":"arn:aws:ecs:eu-west-1:1:service/tier/one"';
  const runningCounts = [2, 1, 1, 0];
  const answers = {
    get DescribeServices() {
      const isRestored = asked.at(-2)?.endsWith('"desiredCount":2}');
      if (isRestored) return JSON.stringify({ services: [{ desiredCount: 2, runningCount: 2 }] });
      const runningCount = runningCounts.length > 1 ? runningCounts.shift() : runningCounts[0];
      return JSON.stringify({ services: [{ desiredCount: 2, runningCount }] });
    },
  };
  const { asked, stack } = fakeAws(answers);
  expect(await stack.withoutTier(async () => runningCounts)).toEqual([0]);
  expect(asked.filter((question) => question.includes("UpdateService"))).toEqual([
    `ecs UpdateService {${service},"desiredCount":0}`,
    `ecs UpdateService {${service},"desiredCount":2}`,
  ]);
  runningCounts.push(1);
  runningCounts.shift();
  const run = vi.fn();
  await expect(stack.withoutTier(run)).rejects.toThrow("tasks of the stream tier do not end");
  expect(run).not.toHaveBeenCalled();
  expect(asked.findLast((question) => question.includes("UpdateService"))).toBe(
    `ecs UpdateService {${service},"desiredCount":2}`,
  );
});

test("the next check begins when the tier's tasks run again", async () => {
  const counts = [2, 0, 0, 1, 1, 2];
  const { stack } = fakeAws({
    get DescribeServices() {
      return JSON.stringify({ services: [{ desiredCount: 2, runningCount: counts.shift() }] });
    },
  });
  await stack.withoutTier(async () => expect(counts.shift()).toBe(0));
  expect(counts).toEqual([]);
});

test("the tier's tasks end while a run is under way, and come back", async () => {
  const { asked, stack } = fakeAws({
    DescribeServices: '{"services":[{"desiredCount":2,"runningCount":2}]}',
  });
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const update = (count: number) => `"desiredCount":${count}}`;
  const seen = await stack.whileTierStops(async () => {
    // Begun before the change, and ended after it.
    const before = asked.some((question) => question.includes("UpdateService"));
    const poll = setInterval(() => {
      if (asked.some((question) => question.endsWith(update(0)))) resolve();
    }, 1);
    await stopped;
    clearInterval(poll);
    return before;
  });
  expect(seen).toEqual({ result: false, tasksBefore: 2, tasksAtEnd: { desiredCount: 2, runningCount: 2 } });
  expect((await stack.whileTierStops(async () => 1))?.tasksAtEnd).toBeUndefined();
  const updates = asked.filter((question) => question.includes("UpdateService"));
  expect(updates.map((question) => question.endsWith(update(0)))).toEqual([true, false, true, false]);
  expect(updates.at(-1)).toContain(update(2));
});

test("charts are asked for as the function for pages asks", async () => {
  const { asked, stack } = fakeAws({ GetMetricData: '{"MetricDataResults":[{"StatusCode":"Complete"}]}' });
  expect(await stack.chartStatus()).toBe("Complete");
  expect(asked[0]).toContain("monitoring GetMetricData");
  expect(await fakeAws().stack.chartStatus()).toBe("no result");
});

test("what cannot be restored is named, with what failed before", async () => {
  const path = "/functions/Nearside-Status/concurrency";
  const { stack } = fakeAws({
    [`GET /2019-09-30${path}`]: "{}",
    get [`DELETE /2017-10-31${path}`](): string {
      throw new Error("lambda answers 403");
    },
  });
  const run = () => Promise.reject(new ConfigError("no answer"));
  await expect(stack.withOneExecution("StatusFunction", run)).rejects.toThrow(
    /not restored, do it by hand: reserved concurrency of Nearside-Status: none \(.*lambda answers 403[\s\S]*no answer/,
  );
});

test("the stack of another mirror is not changed", async () => {
  const { asked, stackOf } = fakeAws({ "GET /2019-09-30/functions/Nearside-Status/concurrency": "{}" });
  const other = stackOf("https://staging.example.com/v1");
  await expect(other.withOneExecution("StatusFunction", async () => 1)).rejects.toThrow(
    `nothing is changed: GitUrl of the stack Nearside-Service is ${URL_OF_STACK}/`,
  );
  expect(asked.filter((question) => /PUT|DELETE|Update/.test(question))).toEqual([]);
});

test("a signal restores what was changed", async () => {
  const path = "/functions/Nearside-Status/concurrency";
  const { asked, stack } = fakeAws({ [`GET /2019-09-30${path}`]: "{}" });
  const { promise: started, resolve } = Promise.withResolvers<void>();
  const changed = stack.withOneExecution("StatusFunction", () => {
    resolve();
    return new Promise(() => undefined);
  });
  await started;
  process.emit("SIGHUP", "SIGHUP");
  await expect(changed).rejects.toThrow("stopped by SIGHUP");
  expect(asked.at(-1)).toBe(`lambda DELETE /2017-10-31${path}`);
  expect(process.listenerCount("SIGHUP")).toBe(0);
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends all checks after what is changed was restored", async (signal, exitCode) => {
  const path = "/functions/Nearside-Status/concurrency";
  const { asked, stack } = fakeAws({ [`GET /2019-09-30${path}`]: "{}" });
  const findings = checkDeployment({
    ...{
      mirrorUrl: "http://127.0.0.1:1",
      gitUrl: "x",
      apiUrl: "x",
      repository: "acme/vault",
      mayChange: true,
    },
    account: { kind: "access-token", token: "y" },
    stack: {
      ...stack,
      metrics: async () => ({ names: ["Clones"], dimensions: [] }),
      withOneExecution: (id) =>
        stack.withOneExecution(id, () => {
          process.emit(signal, signal);
          return new Promise(() => undefined);
        }),
    },
  });
  const consume = async () => {
    for await (const { check } of findings) if (check.includes("access log")) throw new Error("next check");
  };
  await expect(consume()).rejects.toMatchObject({ message: `stopped by ${signal}`, exitCode });
  expect(asked.at(-1)).toBe(`lambda DELETE /2017-10-31${path}`);
});

test("git that does not end is ended, and says so", async () => {
  const targets = {
    ...{ mirrorUrl: URL_OF_STACK, gitUrl: URL_OF_STACK, apiUrl: "x", repository: "acme/vault" },
    account: { kind: "none" } as const,
  };
  const { isOk, stderr } = await withGit(targets, (git) => git(["-c", "alias.wait=!sleep 60", "wait"]), 500);
  expect([isOk, stderr]).toEqual([false, expect.stringContaining("not done after 0.5 s")]);
});

test("metrics are told apart from names of dimensions", async () => {
  const one =
    "<member><Dimensions><member><Name>Host</Name><Value>a</Value></member></Dimensions><MetricName>Clones</MetricName></member>";
  const { stack } = fakeAws({
    ListMetrics: `<Metrics>${one}<member><MetricName>Fetches</MetricName><Dimensions/></member></Metrics>`,
  });
  expect(await stack.metrics()).toEqual({ names: ["Clones", "Fetches"], dimensions: ["Host"] });
});

describe("requests to the mirror", () => {
  /** Answers what a deployment does, but for `broken`. */
  async function fakeDeployment(broken: string | undefined) {
    const server = createServer((request, response) => {
      const { url = "", headers, method } = request;
      const reply = (status: number, body: string, more: Record<string, string> = {}) =>
        response.writeHead(status, more).end(body);
      if (url.includes("/-/webhooks/")) return reply(401, "");
      if (url === "/") return reply(200, broken === "page" ? "{}" : "<!doctype html>");
      if (url.includes("/info/lfs/"))
        return reply(401, "{}", {
          "content-type": "application/vnd.git-lfs+json",
          "lfs-authenticate": "Basic",
        });
      if (headers.authorization === undefined)
        return reply(401, "", broken === "challenge" ? {} : { "www-authenticate": 'Basic realm="x"' });
      if (headers.authorization.includes(btoa("x-token-auth:wrong"))) return reply(401, "Bitbucket says no");
      if (url.includes("no-such-repository")) return reply(broken === "list" ? 503 : 404, "");
      if (url.endsWith("/status")) return reply(200, '{"generation":1}');
      if (url.includes("/wait?")) return reply(504, "{}");
      if (method === "POST") return reply(200, broken === "gzip" ? "" : "003d0123 refs/heads/main\n");
      return reply(200, headers["git-protocol"] ? "000eversion 2\n" : "# service=git-upload-pack\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const mirrorUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return { mirrorUrl, [Symbol.asyncDispose]: async () => void server.close() };
  }

  test.each([
    [undefined, []],
    ["challenge", ["the challenge reaches git"]],
    ["list", ["a name that is not there is not found"]],
    ["page", ["the page is served"]],
    ["gzip", ["a compressed request body arrives as it was sent"]],
  ] as const)("with %s broken", async (broken, expected) => {
    await using deployment = await fakeDeployment(broken);
    const { mirrorUrl } = deployment;
    const account = { kind: "access-token", token: "y" } as const;
    const targets = {
      ...{ mirrorUrl, account, repository: "acme/vault" },
      gitUrl: mirrorUrl,
      apiUrl: mirrorUrl,
    };
    const failed: string[] = [];
    for (const { name, run } of REQUEST_CHECKS) if ((await run(targets)).status === "fail") failed.push(name);
    expect(failed).toEqual(expected);
  });

  test("needs the mirror's address", async () => {
    const { exitCode, stderr } = await runCli(["doctor", "--deployment", "acme/vault"]);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("--mirror-url")]);
  });
});
