/** The commands that work on repositories, against a fake Bitbucket and with real git. */
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { git } from "../support/git/run-git.ts";
import { expectSilentFsck, listRefs, type Primary, startPrimary } from "../support/primary.ts";

let primary: Primary;
const ACCOUNT = { NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"developer"}' };

function primaryOptions(): string[] {
  return ["--api-url", primary.fake.apiUrl, "--git-url", primary.fake.gitUrl];
}

function run(command: string, ...args: string[]) {
  return runCli([command, ...args, "--store", primary.storeFolder], ACCOUNT);
}

beforeAll(async () => {
  primary = await startPrimary();
  await run("connect", "acme", "--credential", "bot", ...primaryOptions());
  await run("select", "acme", "--all");
});
afterAll(() => primary.close());

async function stored(pattern: RegExp): Promise<string[]> {
  const names = await readdir(primary.storeFolder, { recursive: true });
  return names.filter((name) => pattern.test(name)).map((name) => join(primary.storeFolder, name));
}

describe.sequential("repositories", () => {
  test("sync brings all that is selected, and status and verify say so", async () => {
    const synced = await run("sync", ...primaryOptions());
    expect(synced).toMatchObject({ exitCode: 0, stdout: "In step: 1 repositories, 1 of them with news.\n" });
    const status = await run("status", "--json");
    expect(JSON.parse(status.stdout)).toMatchObject([
      {
        workspace: "acme",
        mode: "active",
        credential: "bot",
        repositories: [{ slug: "sample", state: "AVAILABLE", isSelected: true, failedSyncCount: 0 }],
      },
    ]);
    expect((await run("status")).stdout).toContain("AVAILABLE");
    const verified = await run("verify", "--deep", "--json", ...primaryOptions());
    expect(verified.exitCode).toBe(0);
    const objects = await primary.git("rev-list", "--all", "--objects", "--no-object-names");
    expect(JSON.parse(verified.stdout)).toEqual([
      {
        repository: "acme/sample",
        isGood: true,
        problems: [],
        refCount: (await primary.git("for-each-ref")).split("\n").length,
        objectCount: objects.split("\n").length,
      },
    ]);
  });

  test("verify names each ref that differs and ends with 3; sync of that repository mends it", async () => {
    const before = await primary.git("rev-parse", "main");
    const id = await primary.commit("main", "file", "content");
    const differing = await run("verify", "acme/sample", ...primaryOptions());
    expect(differing).toMatchObject({
      exitCode: 3,
      stdout: expect.stringContaining(`refs/heads/main is ${before} here, and ${id} at Bitbucket`),
    });
    expect((await run("sync", "acme/sample", ...primaryOptions())).exitCode).toBe(0);
    expect((await run("verify", "--deep", ...primaryOptions())).exitCode).toBe(0);
  });

  test("an export is the primary's repository, and git finds nothing wrong with it", async () => {
    const folder = primary.newPath();
    expect(await run("export", "acme/sample", folder)).toMatchObject({ exitCode: 0 });
    await expectSilentFsck(folder);
    expect(await listRefs(folder)).toBe(await listRefs(primary.repository));
    expect(await git(["rev-list", "--all", "--objects"], { cwd: folder })).toBe(
      await primary.git("rev-list", "--all", "--objects"),
    );
    const again = await run("export", "acme/sample", folder);
    expect(again).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("is there already") });
    expect(await listRefs(folder)).toBe(await listRefs(primary.repository));
  });

  test("a changed byte in a pack or an index is found by verify --deep, and stops an export", async () => {
    for (const kind of [/\.pack$/, /\.idx$/]) {
      const [file = ""] = await stored(kind);
      const bytes = await readFile(file);
      const damaged = Buffer.from(bytes);
      const at = damaged.length >> 1;
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      await writeFile(file, damaged);
      expect((await run("verify", ...primaryOptions())).exitCode).toBe(0);
      const deep = await run("verify", "--deep", ...primaryOptions());
      expect(deep).toMatchObject({ exitCode: 3, stdout: expect.stringContaining("NOT as it should be") });
      if (kind.test("x.pack")) {
        const folder = primary.newPath();
        expect((await run("export", "acme/sample", folder)).exitCode).toBe(1);
        await expect(readdir(folder)).rejects.toThrow("ENOENT");
      }
      await writeFile(file, bytes);
    }
    expect((await run("verify", "--deep", ...primaryOptions())).exitCode).toBe(0);
  });

  test("the launcher starts it under whatever Node there is, and hands on its exit code", async () => {
    const launcher = fileURLToPath(new URL("../../functions/cli/nearside.js", import.meta.url));
    const { PATH = "" } = process.env;
    const args = [launcher, "status", "nowhere", "--store", primary.storeFolder];
    const child = spawn("node", args, { env: { PATH }, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const exitCode = await new Promise((resolve) => child.on("close", resolve));
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr:
        "nearside: nothing is known of nowhere: nearside status without a name lists what is mirrored\n",
    });
  });

  test("what is not selected is refused by name, with what to do", async () => {
    const unknown = await run("sync", "acme/nothing", ...primaryOptions());
    expect(unknown).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("nearside select") });
    expect((await run("export", "acme/nothing")).exitCode).toBe(2);
    expect((await run("verify", "acme/nothing", ...primaryOptions())).exitCode).toBe(2);
  });

  test("a sync that fails ends with 3 and names the repository; the next one mends it", async () => {
    primary.fake.controls.misbehave({ failWithStatus: 503 });
    const failed = await run("sync", "acme/sample", ...primaryOptions());
    expect(failed).toMatchObject({ exitCode: 3, stdout: expect.stringContaining("Failed: acme/sample") });
    primary.fake.controls.misbehave({ failWithStatus: null });
    await primary.commit("main", "other", "content");
    expect((await run("sync", ...primaryOptions())).exitCode).toBe(0);
    expect((await run("status", "--failed")).exitCode).toBe(0);
  });
});
