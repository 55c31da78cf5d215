/** The commands that work on repositories, against a fake Bitbucket and with real git. */
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { BUT_THE_FIRST, EAGER } from "../support/compaction-policies.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
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
    expect(synced).toMatchObject({ exitCode: 0, stdout: "In step: 1 repository, 1 of them with news.\n" });
    const status = await run("status", "--json");
    expect(dataOf(status.stdout)).toMatchObject([
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
    expect(dataOf(verified.stdout)).toEqual([
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

  test("status --watch shows it again and again, as it becomes, until Ctrl-C", async () => {
    const program = fileURLToPath(new URL("../../functions/nearside.ts", import.meta.url));
    const { PATH = "" } = process.env;
    const args = [program, "status", "--watch", "1", "--json", "--store", primary.storeFolder];
    const child = spawn(process.execPath, args, { env: { PATH }, stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve(signal ?? code)));
    const modes: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      // Each is whole, in a line of its own.
      const [workspace] = dataOf(line) as { mode: string; repositories: { slug: string }[] }[];
      expect(workspace?.repositories).toMatchObject([{ slug: "sample" }]);
      modes.push(workspace?.mode ?? "");
      if (modes.length === 2) await run("pause", "acme");
      if (modes.at(-1) === "paused") child.kill("SIGINT");
    }
    expect(await ended).toBe("SIGINT");
    expect(modes.slice(0, 2)).toEqual(["active", "active"]);
    await run("resume", "acme");
  });

  test("verify --deep reads packs that were merged, and finds a changed byte in one", async () => {
    for (let count = 0; count < 4; count++) {
      await primary.commit("main", `merged-${count % 2}.txt`, `${"line\n".repeat(200)}${count}\n`);
      expect((await run("sync", ...primaryOptions())).exitCode).toBe(0);
    }
    const store = new FsBlobStore(primary.storeFolder);
    const uuid = stableUuid("repository", "acme/sample");
    const storage = { store, blocks: new BlockCache(store) };
    const before = (await openRepository(storage, uuid)).manifest.packs;
    // One of all but the first pack, upon which it stays thin; then one of everything.
    for (const policy of [BUT_THE_FIRST, EAGER]) {
      expect(await compactRepository(uuid, { store, policy })).toMatchObject({ kind: "compacted" });
      const { packs } = (await openRepository(storage, uuid)).manifest;
      expect(packs.length).toBeLessThan(before.length);
      const verified = await run("verify", "--deep", "--json", ...primaryOptions());
      const objectCount = packs.reduce((sum, pack) => sum + pack.objectCount, 0);
      expect(dataOf(verified.stdout)).toMatchObject([{ isGood: true, problems: [], objectCount }]);

      const newest = join(primary.storeFolder, repositoryKeys(uuid).pack(packs.at(-1)?.id ?? ""));
      const bytes = await readFile(newest);
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8((damaged.readUInt8(bytes.length - 100) ^ 1) & 0xff, bytes.length - 100);
      await writeFile(newest, damaged);
      expect((await run("verify", "--deep", ...primaryOptions())).exitCode).toBe(3);
      await writeFile(newest, bytes);
    }
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
      stderr: `nearside: nothing is known of nowhere in ${primary.storeFolder}: nearside status without a name lists what is mirrored there [CONFIG]\n`,
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
