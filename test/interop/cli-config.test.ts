/** The commands that say what is mirrored, each in a process of its own, against a fake Bitbucket. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { type Primary, startPrimary } from "../support/primary.ts";

let primary: Primary;
beforeAll(async () => {
  primary = await startPrimary();
});
afterAll(() => primary.close());

const ACCOUNT = { NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"developer"}' };

function run(command: string, ...args: string[]) {
  return runCli([command, ...args, "--store", primary.storeFolder], ACCOUNT);
}

function primaryOptions(): string[] {
  return ["--api-url", primary.fake.apiUrl, "--git-url", primary.fake.gitUrl];
}

async function config(): Promise<unknown> {
  return JSON.parse(await readFile(join(primary.storeFolder, "config.json"), "utf8"));
}

test("config schema prints the schema, with no store", async () => {
  const { exitCode, stdout, stderr } = await runCli(["config", "schema"]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({ required: ["formatVersion", "workspaces"] });
  expect((await runCli(["config", "schema", "extra"])).exitCode).toBe(2);
});

describe.sequential("what is mirrored", () => {
  test("an empty store says how to begin", async () => {
    const { exitCode, stdout } = await run("status");
    expect({ exitCode, stdout }).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("nearside connect"),
    });
  });

  test("an account without a secret, or one that Bitbucket refuses, is not written", async () => {
    const missing = await run("connect", "acme", "--credential", "nobody", ...primaryOptions());
    expect(missing).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("NEARSIDE_SECRET_NOBODY is not set in the environment"),
    });
    const args = ["connect", "acme", "--credential", "bot", "--store", primary.storeFolder];
    const refused = await runCli([...args, ...primaryOptions()], {
      NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"wrong"}',
    });
    expect(refused).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("rejects the account"),
    });
    expect(refused.stderr).not.toContain("wrong\n");
    await expect(config()).rejects.toThrow("ENOENT");
  });

  test("a workspace is connected by its secret's name, and mirrors nothing before it is selected", async () => {
    const { exitCode, stdout } = await run("connect", "acme", "--credential", "bot", ...primaryOptions());
    expect({ exitCode, stdout }).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("nearside select acme --all"),
    });
    expect(await config()).toMatchObject({
      workspaces: [{ workspace: "acme", credential: "bot", projects: [], include: [] }],
    });
  });

  test("selection goes from all to some and back, and keeps what is not named", async () => {
    await run("select", "acme", "--all", "--exclude", "*-archive", "--exclude", "CORE/x*");
    const skip = ["--include", "tools", "--public", "skip", ...primaryOptions()];
    const misspelt = await run("select", "acme", "--project", "CROE", ...skip);
    expect(misspelt).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("project CROE") });
    expect(
      await run("select", "acme", "--project", "CROE", "--dry-run", "--no-check", ...skip),
    ).toMatchObject({ exitCode: 0 });
    const planned = await run("select", "acme", "--all", "--dry-run", ...primaryOptions());
    expect(planned.stdout).toMatch(/[1-9]\d* of \d+ known repositories are selected\n {4}acme\//);
    await run("select", "acme", "--project", "CORE", "--no-check", ...skip);
    expect(await config()).toMatchObject({
      workspaces: [
        {
          projects: ["CORE"],
          include: ["tools"],
          exclude: ["*-archive", "CORE/x*"],
          publicRepositories: false,
        },
      ],
    });
    await run("select", "acme", "--all", "--no-exclude", "--no-include", "--public", "mirror");
    expect(await config()).toMatchObject({
      workspaces: [{ projects: "all", include: [], exclude: [], publicRepositories: true }],
    });
  });

  test("wrong patterns, contradictions and unknown workspaces change nothing and end with 2", async () => {
    const before = await config();
    for (const args of [
      ["select", "acme", "--include", "a b"],
      ["select", "acme", "--all", "--project", "CORE"],
      ["select", "nowhere", "--all"],
      ["pause", "nowhere"],
      ["remove", "acme", "--retention-days", "-1"],
      ["reconnect", "nowhere", ...primaryOptions()],
      ["connect", "acme", "--no-check"],
      ["no-such-command"],
    ]) {
      const [command = "", ...rest] = args;
      expect([args, (await run(command, ...rest)).exitCode]).toEqual([args, 2]);
    }
    expect(await config()).toEqual(before);
  });

  test("pause, resume, reconnect, remove, and connect again", async () => {
    const one = async () => ((await config()) as { workspaces: unknown[] }).workspaces[0];
    await run("pause", "ACME");
    expect(await one()).toMatchObject({ disabled: true });
    await run("resume", "acme");
    expect(await one()).toMatchObject({ disabled: false });
    expect((await run("reconnect", "acme", ...primaryOptions())).exitCode).toBe(0);
    expect(await one()).not.toHaveProperty("credential");
    await run("pause", "acme");
    expect(await run("remove", "acme", "--retention-days", "3")).toMatchObject({ exitCode: 0 });
    expect(await one()).toMatchObject({ removedAt: expect.any(String), retentionDays: 3, disabled: false });
    expect((await run("resume", "acme")).exitCode).toBe(2);
    expect((await run("connect", "acme", "--credential", "bot", ...primaryOptions())).exitCode).toBe(0);
    expect(await one()).toMatchObject({ credential: "bot", projects: "all" });
    expect(await one()).not.toHaveProperty("removedAt");
  });
});
