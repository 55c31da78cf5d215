/** `nearside deploy`, and what `nearside doctor` says before and after it: without AWS. */
import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Finding } from "../../functions/cli/doctor/finding.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

const NEARSIDE = fileURLToPath(new URL("../../functions/nearside.ts", import.meta.url));

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

describe("nearside deploy", () => {
  let aws: Awaited<ReturnType<typeof fakeAws>>;
  let account: FakeAccount;
  beforeEach(async () => {
    account = { ...ROOMY };
    aws = await fakeAws(account);
  });
  afterEach(() => aws.close());

  const run = (args: readonly string[] = [], cwd = folder.path, env: Record<string, string> = {}) =>
    promisify(execFile)(process.execPath, [NEARSIDE, "deploy", ...args], {
      cwd,
      env: { ...process.env, ...awsEnvironment(aws.url), ...env },
    });

  /** Notes its arguments, and ends with `exitCode`. */
  async function installCdk(exitCode = 0): Promise<() => Promise<string[]>> {
    const bin = join(folder.path, "node_modules", "aws-cdk", "bin");
    await mkdir(bin, { recursive: true });
    const script = `require("fs").writeFileSync("arguments", JSON.stringify(process.argv.slice(2))); process.exit(${exitCode});`;
    await writeFile(join(bin, "cdk"), script);
    return async () => JSON.parse(await readFile(join(folder.path, "arguments"), "utf8"));
  }

  test("is cdk deploy of all stacks, and --plan is cdk diff, on the app and with the settings file", async () => {
    const args = await installCdk();
    await writeFile(join(folder.path, "nearside.config.json"), "{}");
    await run();
    expect((await args()).slice(0, 3)).toEqual(["deploy", "--all", "--app"]);
    expect((await args())[3]).toContain("infra/app.ts");
    await writeFile(join(folder.path, "acme.json"), '{"deployment": {"stackPrefix": "Acme"}}');
    await run(["--plan", "--config", "acme.json"]);
    expect((await args())[0]).toBe("diff");
    expect((await args()).slice(-2)).toEqual(["--context", "config=acme.json"]);
  });

  test("the real cdk runs the app, in a folder whose name needs quotes", async () => {
    const project = join(folder.path, "a project's folder");
    await mkdir(project);
    await symlink(
      fileURLToPath(new URL("../../node_modules", import.meta.url)),
      join(project, "node_modules"),
    );
    await writeFile(join(project, "nearside.config.json"), '{"allowedAddresses": ["203.0.113.0/24"]}');
    // Without AWS the differences cannot be had; what is deployed has been worked out by then.
    const { stderr } = (await run(["--plan"], project).catch((error: unknown) => error)) as {
      stderr: string;
    };
    expect(stderr).toContain("The API accepts requests from 203.0.113.0/24 only.");
    expect(stderr).not.toContain("error 127");
  });

  test("without a region it says what to set", async () => {
    await installCdk();
    await writeFile(join(folder.path, "nearside.config.json"), "{}");
    const { stderr } = await run(["--plan"], folder.path, { AWS_REGION: "", AWS_CONFIG_FILE: "/dev/null" });
    expect(stderr).toContain("set AWS_REGION, or deployment.regions");
    expect(stderr).not.toMatch(/\n +at /);
  });

  test.each([[[]], [["--plan"]]])("starts nothing without a settings file: %j", async (args) => {
    const started = await installCdk();
    await expect(run(args)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/nearside\.config\.json is missing.*write \{\} into it/),
    });
    await expect(started()).rejects.toThrow("ENOENT");
  });

  test.each([
    [{ concurrency: { ConcurrentExecutions: 10, UnreservedConcurrentExecutions: 10 } }, "gitConcurrency"],
    [{ gateway: { throttleSettings: { rateLimit: 10_000 } } }, "apiLogRole"],
    [{ bootstrapVersion: undefined }, "npx cdk bootstrap"],
  ])("starts nothing in an account where it cannot succeed: %j", async (lacking, advice) => {
    const started = await installCdk();
    await writeFile(join(folder.path, "nearside.config.json"), "{}");
    Object.assign(account, lacking);
    await expect(run(["--yes"])).rejects.toMatchObject({ code: 3, stderr: expect.stringContaining(advice) });
    await expect(started()).rejects.toThrow("ENOENT");
    expect((await run(["--plan"])).stderr).toContain(advice);
    expect((await started())[0]).toBe("diff");
  });

  test("goes on where room is only doubtful, or AWS does not say", async () => {
    const started = await installCdk();
    await writeFile(
      join(folder.path, "nearside.config.json"),
      '{"deployment": {"regions": "eu-west-1,us-east-1"}}',
    );
    account.concurrency = { ConcurrentExecutions: 1000, UnreservedConcurrentExecutions: 700 };
    expect((await run()).stderr.match(/which leaves -71/g)).toHaveLength(2);
    expect((await started())[0]).toBe("deploy");
    aws.close();
    expect((await run()).stderr).toContain("FAIL quota");
  });

  test("starts nothing for wrong settings or without the CDK, and ends as cdk does", async () => {
    await writeFile(join(folder.path, "nearside.config.json"), "{}");
    await expect(run()).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("npm install aws-cdk"),
    });
    await installCdk(7);
    await expect(run()).rejects.toMatchObject({ code: 7 });
    await writeFile(join(folder.path, "nearside.config.json"), '{"allowedAdresses": "any"}');
    await expect(run()).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("allowedAdresses is not a setting"),
    });
  });
});

interface FakeAccount {
  concurrency: { ConcurrentExecutions: number; UnreservedConcurrentExecutions: number };
  gateway: { throttleSettings: { rateLimit: number }; cloudwatchRoleArn?: string };
  bootstrapVersion: string | undefined;
  denied: string[];
}

const ROOMY: FakeAccount = {
  concurrency: { ConcurrentExecutions: 1000, UnreservedConcurrentExecutions: 1000 },
  gateway: { throttleSettings: { rateLimit: 10_000 }, cloudwatchRoleArn: "arn:aws:iam::1:role/logs" },
  bootstrapVersion: "30",
  denied: [],
};

function awsEnvironment(url: string): Record<string, string> {
  return {
    ...{ AWS_ENDPOINT_URL: url, AWS_REGION: "eu-west-1" },
    ...{ AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret", AWS_SESSION_TOKEN: "" },
  };
}

/** Answers as AWS documents the operations that the checks use. */
async function fakeAws(account: FakeAccount): Promise<{ url: string; asked: string[]; close(): void }> {
  const asked: string[] = [];
  const server = createServer((request, response) => void answer(request, response));
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    asked.push(`${request.url} ${body}`);
    const service =
      /Credential=[^/]+\/\d+\/[^/]+\/([a-z]+)\//.exec(request.headers.authorization ?? "")?.[1] ?? "none";
    const parameters = new URLSearchParams(body);
    switch (service) {
      case "lambda":
        return void response.end(JSON.stringify({ AccountLimit: account.concurrency }));
      case "apigateway":
        return void response.end(JSON.stringify(account.gateway));
      case "ssm":
        if (account.bootstrapVersion === undefined) {
          response.statusCode = 400;
          return void response.end('{"__type":"ParameterNotFound"}');
        }
        return void response.end(JSON.stringify({ Parameter: { Value: account.bootstrapVersion } }));
      case "sts":
        return void response.end(
          "<r><Arn>arn:aws:sts::123456789012:assumed-role/Admin/me</Arn><Account>123456789012</Account></r>",
        );
      case "iam": {
        const actions = [...parameters]
          .filter(([name]) => name.startsWith("ActionNames"))
          .map(([, value]) => value);
        const results = actions.map(
          (action) =>
            `<member><EvalActionName>${action}</EvalActionName><EvalDecision>${account.denied.includes(action) ? "implicitDeny" : "allowed"}</EvalDecision></member>`,
        );
        return void response.end(`<r>${results.join("")}</r>`);
      }
      default:
        response.statusCode = 500;
        response.end(`unexpected service ${service}`);
    }
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked, close: () => void server.close() };
}

describe("nearside doctor --quotas --permissions", () => {
  async function doctor(account: FakeAccount, settings: object = {}) {
    const aws = await fakeAws(account);
    const config = join(folder.path, "settings.json");
    await writeFile(config, JSON.stringify({ deployment: settings }));
    const args = ["doctor", "--quotas", "--permissions", "--json", "--config", config];
    const { stdout, exitCode } = await runCli(args, awsEnvironment(aws.url));
    aws.close();
    const findings = dataOf(stdout) as Finding[];
    const failed = findings.filter(({ status }) => status === "fail");
    expect(exitCode).toBe(failed.length === 0 ? 0 : 3);
    return { findings, failed, asked: aws.asked };
  }

  test("an account with room, a role for logs, a bootstrap and the rights passes", async () => {
    const { failed, findings, asked } = await doctor(ROOMY);
    expect(failed).toEqual([]);
    expect(findings).toHaveLength(9);
    expect(asked.join("\n")).toContain("role%2FAdmin");
  });

  test("a new account: the output names the settings it needs", async () => {
    const { failed } = await doctor({
      concurrency: { ConcurrentExecutions: 10, UnreservedConcurrentExecutions: 10 },
      gateway: { throttleSettings: { rateLimit: 100 } },
      bootstrapVersion: undefined,
      denied: ["ssm:PutParameter", "sts:AssumeRole"],
    });
    expect(failed.map(({ check }) => check)).toEqual([
      "quota: Lambda's concurrent executions",
      "quota: API Gateway's requests",
      "API Gateway's role for logs",
      "CDK's bootstrap",
      "permission to assume CDK's role deploy",
      "permission to assume CDK's role file-publishing",
      "permission to assume CDK's role lookup",
      "permission to store accounts",
    ]);
    expect(failed[0]?.advice).toContain("gitConcurrency");
  });

  test("a mirror that is deployed already does not need its part twice", async () => {
    const deployed = { ConcurrentExecutions: 1000, UnreservedConcurrentExecutions: 229 };
    expect((await doctor({ ...ROOMY, concurrency: deployed })).failed).toEqual([]);
    const full = { ConcurrentExecutions: 1000, UnreservedConcurrentExecutions: 700 };
    expect((await doctor({ ...ROOMY, concurrency: full })).failed).toHaveLength(1);
  });

  test("settings that ask for less pass in a small account", async () => {
    const small = { ConcurrentExecutions: 300, UnreservedConcurrentExecutions: 300 };
    const names = ["git", "authorizer", "status", "pages", "webhook", "reconcile"];
    const none = Object.fromEntries(names.map((name) => [`${name}Concurrency`, 0]));
    expect((await doctor({ ...ROOMY, concurrency: small }, none)).failed).toEqual([]);
  });
});
