/** A server that is started with options: commands see what it mirrors, change it, and a start without options goes on with it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { type MirrorProcess, spawnMirror, startMirror } from "../support/mirror-process.ts";
import { type Primary, startPrimary } from "../support/primary.ts";

const ACCOUNT = { BITBUCKET_EMAIL: "developer@example.com", BITBUCKET_API_TOKEN: "developer" };

let primary: Primary;
let running: MirrorProcess[];

beforeEach(async () => {
  primary = await startPrimary();
  running = [];
});
afterEach(async () => {
  await Promise.all(running.map((mirror) => mirror.stop("SIGKILL")));
  await primary.close();
});

const place = () => [
  "--store",
  primary.storeFolder,
  "--api-url",
  primary.fake.apiUrl,
  "--git-url",
  primary.fake.gitUrl,
];

async function start(...options: string[]) {
  const mirror = await startMirror([...place(), ...options], { env: ACCOUNT });
  running.push(mirror);
  return mirror.repositories.map(({ fullName }) => fullName);
}

const stopAll = () => Promise.all(running.splice(0).map((mirror) => mirror.stop()));
const config = async () => JSON.parse(await readFile(join(primary.storeFolder, "config.json"), "utf8"));

test("status, doctor and verify know it; pause counts at once and after a restart", async () => {
  expect(await start("--repository", "acme/sample")).toEqual(["acme/sample"]);
  expect(await config()).toMatchObject({ fromOptions: true, workspaces: [{ include: ["sample"] }] });
  const status = await runCli(["status", "--store", primary.storeFolder]);
  expect(status.stdout).toMatch(/^acme: active, account "environment", 1 of 1 repositories/);
  expect((await runCli(["verify", ...place()], ACCOUNT)).exitCode).toBe(0);
  expect((await runCli(["doctor", ...place()], ACCOUNT)).stdout).toContain(
    "OK   config.json: connected: acme",
  );
  await stopAll();

  expect(await start("--workspace", "acme")).toEqual(["acme/sample"]);
  expect(await config()).toMatchObject({ fromOptions: true, workspaces: [{ projects: "all", include: [] }] });
  await runCli(["pause", "acme", "--store", primary.storeFolder]);
  expect(await config()).not.toHaveProperty("fromOptions");
  await stopAll();
  expect(await start("--workspace", "acme")).toEqual([]);
  expect(running[0]?.stderr()).toContain("it counts, and --workspace");
  await stopAll();

  const other = spawnMirror([...place(), "--port", "0", "--workspace", "other"], { env: ACCOUNT });
  const { exitCode, stderr } = await other.ended();
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining("and not other")]);
});

test("a server with nothing to serve says why", async () => {
  const mirror = spawnMirror([...place(), "--port", "0", "--project", "acme/NONE"], { env: ACCOUNT });
  running.push(mirror);
  await mirror.untilPrinted(
    /with 0 repositories.*\n {2}acme: Bitbucket shows none of the selected repositories/,
  );
});

test("a server that is started again while config.json is not valid uses the last valid one, and says what is wrong", async () => {
  expect(await start("--repository", "acme/sample")).toEqual(["acme/sample"]);
  await stopAll();
  const file = join(primary.storeFolder, "config.json");
  const broken = (await readFile(file, "utf8")).replace("[", "[,");
  await writeFile(file, broken);
  for (const options of [[], ["--repository", "acme/sample"]]) {
    expect(await start(...options)).toEqual(["acme/sample"]);
    expect(running[0]?.stderr()).toMatch(
      /config\.json: not JSON[\s\S]*\nThe last valid config\.json stays in use/,
    );
    await stopAll();
  }
  expect(await readFile(file, "utf8")).toBe(broken);
});
