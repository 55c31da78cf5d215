/** What the model of AWS does by itself, with a function whose paths are cases: freezing, pace, limits, refusals, cached decisions. */
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bundleFunction } from "../../infra/bundle.ts";
import { type ApiDefinition, apiOf, findRoute } from "../support/aws-front/api-definition.ts";
import { startApiGateway } from "../support/aws-front/api-gateway.ts";
import {
  type FunctionApi,
  type FunctionApiOptions,
  startFunctionApi,
} from "../support/aws-front/function-api.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { DeployedTemplate, type TemplateJson } from "../support/aws-front/template.ts";
import { deployment } from "../support/deployment.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

const runtimeClient = findRuntimeClient();
const MEGABYTE = 1_000_000;

describe.skipIf(runtimeClient === undefined)("the model of AWS", () => {
  let folder: TemporaryFolder;
  let api: FunctionApi | undefined;
  const templates = new Map<string, ApiDefinition>();

  beforeAll(async () => {
    folder = await temporaryFolder();
    const source = { entryFile: "test/support/aws-front/scripted-function.ts", workerFiles: [] };
    await bundleFunction(source, join(folder.path, "code"));
  });
  afterEach(async () => {
    await api?.close();
    api = undefined;
  });
  afterAll(() => folder.remove());

  async function started(options: Partial<FunctionApiOptions> = {}): Promise<FunctionApi> {
    const code = { runtimeClient: runtimeClient ?? "", codeFolder: join(folder.path, "code") };
    api = await startFunctionApi({ ...code, ...options });
    return api;
  }

  /** As deployed with this file. */
  function deployedApi(file: object): ApiDefinition {
    const key = JSON.stringify(file);
    const { service, storage } = deployment(file);
    const stacks = [service, storage].map((stack) => Template.fromStack(stack).toJSON() as TemplateJson);
    const made = templates.get(key) ?? apiOf(new DeployedTemplate(stacks));
    templates.set(key, made);
    return made;
  }

  const processOf = async ({ url }: FunctionApi) =>
    (await (await fetch(`${url}/process`)).json()) as { pid: number; ticks: number; finished: number };

  test("a process is used again, and frozen in between: its timers stand still", async () => {
    const front = await started();
    const first = await processOf(front);
    await sleep(2_000);
    const second = await processOf(front);
    expect(second.pid).toBe(first.pid);
    // Node makes up for one tick. On a process that runs there were forty.
    expect(second.ticks - first.ticks).toBeLessThan(20);
    expect(front.function.counts).toMatchObject({ invocations: 2, cold: 1 });
  });

  test("an idle process is ended, and the next request starts one", async () => {
    const front = await started({ idleMs: 100 });
    const first = await processOf(front);
    await expect.poll(() => isRunning(first.pid), { timeout: 20_000 }).toBe(false);
    expect((await processOf(front)).pid).not.toBe(first.pid);
    expect(front.function.counts.cold).toBe(2);
  });

  test("requests at a time have processes of their own, up to what is reserved; further ones are refused", async () => {
    const { gatewayResponses } = deployedApi({});
    const front = await started({ definition: { reservedConcurrency: 2 }, api: { gatewayResponses } });
    const hanging = [0, 1].map(() => fetch(`${front.url}/hangs`).catch(() => undefined));
    await expect.poll(() => front.function.running).toBe(2);
    const refused = await fetch(`${front.url}/process`);
    expect([refused.status, refused.headers.get("retry-after"), await refused.text()]).toEqual([
      429,
      "10",
      "too many requests to the mirror at once, try again in 10 s\n",
    ]);
    const lfs = await fetch(`${front.url}/process`, { headers: { accept: "application/vnd.git-lfs+json" } });
    expect(await lfs.json()).toEqual({ message: expect.stringContaining("try again in 10 s") });
    await front.close();
    await Promise.all(hanging);
  });

  test("where INTEGRATION_FAILURE is not set, Lambda's refusal is 500", async () => {
    const front = await started({ definition: { reservedConcurrency: 0 } });
    expect((await fetch(`${front.url}/process`)).status).toBe(500);
  });

  test("a response is limited in its pace after its first bytes", async () => {
    const front = await started({ pace: { burstBytes: 2 * MEGABYTE, bytesPerSecond: 4 * MEGABYTE } });
    const startedMs = performance.now();
    await (await fetch(`${front.url}/large?mebibytes=10`)).arrayBuffer();
    expect(performance.now() - startedMs).toBeGreaterThan(1_900);
  });

  test("a function does not notice that its client is gone", async () => {
    const front = await started();
    await processOf(front);
    await new Promise<void>((resolve) => {
      get(`${front.url}/paced?mebibytes=60`, (response) => {
        response.once("data", () => response.destroy()).once("close", () => resolve());
      });
    });
    await expect.poll(() => front.function.running, { timeout: 60_000 }).toBe(0);
    expect(await processOf(front)).toMatchObject({ finished: 1 });
    expect(front.log()).not.toContain("http:response-cut");
  });

  test("API Gateway's time is up before the function's: 504, and it runs on", async () => {
    const { gatewayResponses } = deployedApi({});
    const front = await started({ timeoutMs: 3_000, api: { gatewayResponses } });
    const response = await fetch(`${front.url}/hangs`);
    expect([response.status, response.headers.get("retry-after")]).toEqual([504, "10"]);
    expect(front.function.running).toBe(1);
  });

  test.each([
    { what: "time", path: "/spins", definition: { timeoutMs: 5_000 }, log: "Task timed out after 5 seconds" },
    { what: "memory", path: "/allocates", definition: { memoryMib: 256 }, log: "more than 256 MiB" },
  ])(
    "a function that goes past its $what is killed: 502, and the next request starts another",
    async (limit) => {
      const front = await started({ definition: limit.definition });
      expect((await fetch(front.url + limit.path)).status).toBe(502);
      expect(front.log()).toContain(limit.log);
      expect((await fetch(`${front.url}/process`)).status).toBe(200);
      expect(front.function.counts).toMatchObject({ cold: 2, failed: 1 });
    },
  );

  test("a file cannot be larger than the temporary storage", async () => {
    const front = await started({ definition: { temporaryStorageMib: 8 } });
    const response = await fetch(`${front.url}/writes`);
    expect([response.status, await response.text()]).toEqual([507, "EFBIG\n"]);
  });

  test.each([
    { cacheMs: 0, decisions: 3 },
    { cacheMs: 60_000, decisions: 2 },
  ])(
    "of three requests by two credentials the authorizer decides $decisions, at a cache of $cacheMs ms",
    async (row) => {
      const front = await started();
      const identitySources = ["method.request.header.Authorization"];
      let decisions = 0;
      const authorizer = {
        stream: () => Promise.reject(new Error("an authorizer answers in one piece")),
        invoke: async () => {
          decisions += 1;
          const Resource = "arn:aws:execute-api:us-east-1:000000000000:api/git/*";
          const Statement = [{ Action: "execute-api:Invoke", Effect: "Allow", Resource }];
          return { principalId: "caller", policyDocument: { Version: "2012-10-17", Statement }, context: {} };
        },
      };
      const guarded = await startApiGateway({
        definition: () => ({
          ...deployedApi({}),
          authorizer: { function: "authorizer", cacheMs: row.cacheMs, identitySources },
        }),
        functionOf: (name) => (name === "authorizer" ? authorizer : front.function),
      });
      const statusFor = async (authorization?: string) =>
        (await fetch(`${guarded.url}/process`, authorization ? { headers: { authorization } } : {})).status;
      try {
        for (const name of ["ada", "ada", "eve"]) expect(await statusFor(name)).toBe(200);
        expect(decisions).toBe(row.decisions);
        // A source that is missing is refused without the authorizer.
        expect(await statusFor()).toBe(401);
        expect(decisions).toBe(row.decisions);
      } finally {
        await guarded.close();
      }
    },
  );

  test("more requests a second than the stage allows are refused", async () => {
    const front = await started({ api: { requestsPerSecond: { rate: 0.01, burst: 2 } } });
    const statuses: number[] = [];
    for (let count = 0; count < 4; count++) statuses.push((await fetch(`${front.url}/no-such`)).status);
    expect(statuses.slice(0, 2)).toEqual([404, 404]);
    expect(statuses).toContain(429);
  });

  test("an address outside the allow list is refused before any function, but not at the webhooks", async () => {
    const { isDenied, gatewayResponses } = deployedApi({ allowedAddresses: ["192.0.2.0/24"] });
    expect(isDenied?.("192.0.2.7", "GET/acme/site.git/info/refs")).toBe(false);
    expect(isDenied?.("127.0.0.1", "POST/-/webhooks/acme")).toBe(false);
    const front = await started({ api: { gatewayResponses, ...(isDenied && { isDenied }) } });
    const response = await fetch(`${front.url}/acme/site.git/info/refs`);
    expect([response.status, await response.text()]).toEqual([
      403,
      "this mirror does not serve your address\n",
    ]);
    expect(front.function.counts.invocations).toBe(0);
  });

  test.each([
    ["GET", "/acme/site.git/info/refs", "gitHttp"],
    ["POST", "/-/webhooks/acme", "webhook"],
    ["GET", "/-/repositories/acme/site/status", "status"],
    ["GET", "/-/webhooks/acme", undefined],
  ])("%s %s is for %s", (method, path, expected) => {
    expect(findRoute(deployedApi({}), method, path)?.route.function).toBe(expected);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
