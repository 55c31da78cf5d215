import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { DeploymentTargets, Outcome } from "../../../functions/cli/doctor/deployment/check.ts";
import { clonedLargeWithoutTier, GIT_CHECKS } from "../../../functions/cli/doctor/deployment/git.ts";
import { PUSH_CHECKS } from "../../../functions/cli/doctor/deployment/pushes.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";

const { pausesMs } = vi.hoisted(() => ({ pausesMs: [] as number[] }));
vi.mock("node:timers/promises", () => ({ setTimeout: async (ms: number) => void pausesMs.push(ms) }));

const TIER = "https://tier.example.com/-/t/secret.token/acme/large.git/";
const REFUSAL = "remote: this takes 312 MB, more than the 200 MB";

const MAKES_CLONE = '[ "$1" != clone ] || for last; do :; done; [ "$1" != clone ] || mkdir -p "$last"';

let folder: TemporaryFolder;
let calls: string;

/** In place of git. @param script - A shell's `case`: by all arguments, what to write and how to end. */
async function fakeGit(script: string): Promise<void> {
  const { path } = folder;
  calls = join(path, "calls");
  await writeFile(calls, "");
  const file = join(path, "git");
  await writeFile(
    file,
    `#!/bin/sh\necho "$*" >>${calls}\n${MAKES_CLONE}\ncase "$*" in\n${script}\nesac\nexit 0\n`,
  );
  await chmod(file, 0o755);
  vi.stubEnv("PATH", `${path}:${process.env["PATH"]}`);
}

beforeEach(async () => {
  folder = await temporaryFolder();
  return async () => {
    vi.unstubAllEnvs();
    await folder.remove();
  };
});

const account = { kind: "access-token", token: "y" } as const;
const targets = (more: Partial<DeploymentTargets> = {}): DeploymentTargets => ({
  ...{ mirrorUrl: "https://git.example.com", repository: "acme/vault", large: "acme/large", account },
  ...{ gitUrl: "https://bitbucket.example", apiUrl: "https://api.bitbucket.example", mayChange: true },
  ...more,
});

function run(name: string, more?: Partial<DeploymentTargets>): Promise<Outcome> {
  const check = [...GIT_CHECKS, ...PUSH_CHECKS].find((one) => one.name.startsWith(name));
  if (check === undefined) throw new Error(`no check ${name}`);
  return check.run(targets(more));
}

describe("a pushed branch", () => {
  const listed = "*ls-remote*) echo '0123 refs/heads/x';;\n*rev-parse*) echo 0123;;";

  test("has a commit that starts no pipeline, and is deleted", async () => {
    await fakeGit(listed);
    expect((await run("a push to Bitbucket")).status).toBe("ok");
    const lines = (await readFile(calls, "utf8")).trim().split("\n");
    expect(lines.find((line) => line.startsWith("commit"))).toContain("[skip ci]");
    expect(lines.at(-1)).toMatch(/^push --quiet origin :refs\/heads\/nearside-doctor-/);
  });

  test("is looked for with pauses that double, and not for ever", async () => {
    await fakeGit("*rev-parse*) echo 0123;;");
    pausesMs.splice(0);
    expect(await run("a push to Bitbucket")).toEqual({ status: "fail", detail: "not after 5 looks" });
    expect(pausesMs).toEqual([1_000, 2_000, 4_000, 8_000]);
    const listings = (await readFile(calls, "utf8"))
      .split("\n")
      .filter((line) => line.startsWith("ls-remote"));
    expect(listings).toHaveLength(5);
  });

  test("that cannot be deleted is named", async () => {
    await fakeGit(
      `${listed}\n*:refs/heads/nearside-doctor*) case "$*" in *HEAD:*) ;; *) echo denied >&2; exit 1;; esac;;`,
    );
    await expect(run("a push to Bitbucket")).rejects.toThrow(
      /do it by hand: delete refs\/heads\/nearside-doctor-\w+ of acme\/vault at Bitbucket .*denied/,
    );
    const deletions = (await readFile(calls, "utf8")).split("\n").filter((line) => line.includes(" :refs/"));
    expect(deletions).toHaveLength(5);
  });

  test("is deleted after a push that failed, which may have made it", async () => {
    await fakeGit(
      "*HEAD:refs*) echo timeout >&2; exit 1;;\n*:refs/heads*) echo 'error: remote ref does not exist' >&2; exit 1;;",
    );
    expect(await run("a push to Bitbucket")).toEqual({ status: "fail", detail: "timeout" });
    expect(await readFile(calls, "utf8")).toContain("push --quiet origin :refs/heads/nearside-doctor-");
  });
});

describe("a large repository", () => {
  const redirected = `*clone*) echo "warning: redirecting to ${TIER}" >&2;;`;
  const refused = `*clone*first) echo "${REFUSAL}" >&2; exit 1;;`;
  const stack = (desiredCount: number) =>
    ({ tierTasks: async () => ({ desiredCount, runningCount: 0 }) }) as unknown as NonNullable<
      DeploymentTargets["stack"]
    >;

  test.each([
    [
      "from the tier",
      redirected,
      undefined,
      "ok",
      "whole, from https://tier.example.com/-/t/***/acme/large.git/",
    ],
    ["refused, without a tier", refused, undefined, "ok", "refused with its size"],
    ["refused, while the tier has to run no task", refused, 0, "ok", "refused with its size"],
    [
      "refused, while the tier has to run two",
      refused,
      2,
      "fail",
      "the stream tier is not used: it runs 0 of 2 tasks",
    ],
    ["sent by the function", "", undefined, "skipped", "larger repository"],
    [
      "broken",
      `*clone*) echo "fatal: unable to access '${TIER}'" >&2; exit 1;;`,
      undefined,
      "fail",
      "/-/t/***/acme",
    ],
  ] as const)("%s", async (_, script, desiredCount, status, detail) => {
    await fakeGit(script);
    const outcome = await run(
      "a large repository",
      desiredCount === undefined ? {} : { stack: stack(desiredCount) },
    );
    expect(outcome).toEqual({ status, detail: expect.stringContaining(detail) });
    expect(outcome.detail).not.toContain("secret.token");
  });

  test.each([
    ["refused", refused, "ok"],
    ["redirected to a tier that still drains", redirected, "fail"],
  ])("without the tier: %s", async (_, script, status) => {
    await fakeGit(script);
    const outcome = await clonedLargeWithoutTier(targets());
    expect(outcome.status).toBe(status);
    expect(outcome.detail).not.toContain("secret.token");
  });
});
