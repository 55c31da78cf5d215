/** `nearside clone` under git's configuration: each request and each check is as git's own would be. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { BY_PLAN, type CloneRig, gitSettingsEnvironment, openCloneRig } from "../../support/clone-rig.ts";
import { PLAN_PATH, startFileMirror } from "../../support/file-mirror.ts";
import { git } from "../../support/git/run-git.ts";

let rig: CloneRig;

beforeAll(async () => {
  rig = await openCloneRig();
});

beforeEach(() => rig.reset());

afterAll(() => rig[Symbol.asyncDispose]());

test.each([
  [["extraHeader=X-A: 1", "extraHeader="], []],
  [
    ["extraHeader=X-A: 1", "extraHeader=X-A: 2"],
    ["X-A: 1", "X-A: 2"],
  ],
  [["extraHeader=X-A: 1", "URL/.extraHeader="], []],
  [
    ["extraHeader=X-A: 1", "URL/.extraHeader=X-A: 2"],
    ["X-A: 1", "X-A: 2"],
  ],
  [["URL/.extraHeader=X-A: 1", "extraHeader=X-B: 2", "extraHeader="], ["X-A: 1"]],
  [
    ["URL/acme/.extraHeader=X-A: 1", "URL.extraHeader=X-B: 2", "URL/acme.extraHeader=X-C: 3"],
    ["X-A: 1", "X-C: 3"],
  ],
  [["https://other.example.extraHeader=X-A: 1", "URL/other.extraHeader=X-B: 2"], []],
  [["http://*.0.0.1.extraHeader=X-A: 1", 'URL/a"\\c.extraHeader=X-B: 2'], []],
])("with the settings %j of http, the headers of all requests are git's: %j", async (settings, headers) => {
  const env = gitSettingsEnvironment(
    settings.map((setting) => `http.${setting.replace("URL", rig.mirror.url)}`),
  );
  expect(await rig.clone([], env)).toMatchObject({ ...BY_PLAN, planRequests: 1 });
  const sent = rig.mirror.requests.map(({ rawHeaders }) =>
    rawHeaders.flatMap((name, n) =>
      n % 2 === 0 && /^x-/i.test(name) ? [`${name.toUpperCase()}: ${rawHeaders[n + 1]}`] : [],
    ),
  );
  expect(sent).toEqual(sent.map(() => headers));
});

test("faults of objects that fetch.fsck accepts are git's to judge", async () => {
  const served = await rig.newFolder();
  await using faulty = await startFileMirror(served, async (cwd) => {
    const commit = await git(["cat-file", "commit", "HEAD"], { cwd });
    const input = `${commit.replace(/^author .* </m, "author <")}\n`;
    const id = await git(["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], { cwd, input });
    await git(["update-ref", "HEAD", id], { cwd });
  });
  const cloneFaulty = async (settings: readonly string[]) => {
    faulty.requests.splice(0);
    const { exitCode, stderr } = await rig.clone([faulty.cloneUrl], gitSettingsEnvironment(settings));
    return { exitCode, stderr, isAsked: faulty.requests.some(({ url }) => url === PLAN_PATH) };
  };
  expect(await cloneFaulty([])).toMatchObject({ exitCode: 0, isAsked: true });
  const strict = ["fetch.fsckObjects=false", "fetch.fsckObjects=true", "transfer.fsckObjects=false"];
  expect(await cloneFaulty(strict)).toMatchObject({ exitCode: 1, isAsked: true });
  for (const setting of ["fetch.fsck.missingNameBeforeEmail=ignore", "fetch.fsck.skipList=/dev/null"])
    expect(await cloneFaulty([...strict, setting])).toMatchObject({ exitCode: 0, isAsked: false });
  const lax = ["fetch.fsck.missingNameBeforeEmail=ignore"];
  expect(await cloneFaulty(lax)).toMatchObject({ exitCode: 0, isAsked: true });
});
