/** A whole workspace by the command line alone: connected, selected, brought in step, and served from the same folder. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";

const ACCOUNT = { NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"developer"}' };
const REPOSITORIES = ["CORE", "WEB", "OPS"].flatMap((project) =>
  Array.from({ length: 20 }, (_, index) => ({ project, slug: `${project.toLowerCase()}-${index}` })),
);

let folder: TemporaryFolder;
let storeFolder: string;
let rig: LocalMirrorRig;

beforeAll(async () => {
  folder = await temporaryFolder();
  storeFolder = join(folder.path, "store");
  rig = await startLocalMirrorRig({ store: new FsBlobStore(storeFolder) });
  for (const { slug, project } of REPOSITORIES) await rig.create("acme", slug, project);
});

afterAll(async () => {
  await rig.close();
  await folder.remove();
});

function run(command: string, ...args: string[]) {
  return runCli([command, ...args, "--store", storeFolder], ACCOUNT);
}

async function sync() {
  return run("sync", ...primaryOptions());
}

function primaryOptions(): string[] {
  return ["--api-url", rig.fake.apiUrl, "--git-url", rig.fake.gitUrl];
}

interface ListedRepository {
  readonly slug: string;
  readonly state: string;
}

/** As `nearside status --json` has them. */
async function repositoriesByState(): Promise<Partial<Record<string, ListedRepository[]>>> {
  const [acme] = dataOf((await run("status", "--json")).stdout) as [{ repositories: ListedRepository[] }];
  return Object.groupBy(acme.repositories, ({ state }) => state);
}

async function servedSlugs(): Promise<string[]> {
  const slugs: string[] = [];
  for (const { slug } of REPOSITORIES) if (await rig.isServed(`acme/${slug}`)) slugs.push(slug);
  return slugs;
}

describe.sequential("3 projects with 60 repositories", () => {
  test("nothing is mirrored of what is only connected", async () => {
    expect(await run("connect", "acme", "--credential", "bot", ...primaryOptions())).toMatchObject({
      exitCode: 0,
    });
    expect((await sync()).exitCode).toBe(0);
    expect(await servedSlugs()).toEqual([]);
  });

  test("some of it, by project and pattern: these are served, and no others", async () => {
    const selection = ["--project", "CORE", "--include", "web-1?", "--exclude", "*-3"];
    const selected = REPOSITORIES.filter(
      ({ slug, project }) => (project === "CORE" || /^web-1.$/.test(slug)) && !slug.endsWith("-3"),
    ).map(({ slug }) => slug);
    expect(await run("select", "acme", ...selection, ...primaryOptions())).toMatchObject({ exitCode: 0 });
    expect(await sync()).toMatchObject({
      exitCode: 0,
      stdout: `In step: ${selected.length} repositories, ${selected.length} of them with news.\n`,
    });
    expect(await servedSlugs()).toEqual(selected);
    expect((await repositoriesByState())["AVAILABLE"]).toHaveLength(selected.length);
  });

  test("all of it, and Bitbucket has nothing else", async () => {
    expect(await run("select", "acme", "--all", "--no-exclude", "--no-include")).toMatchObject({
      exitCode: 0,
    });
    expect(await sync()).toMatchObject({
      exitCode: 0,
      stdout: "In step: 60 repositories, 31 of them with news.\n",
    });
    expect(await servedSlugs()).toHaveLength(60);
    for (const slug of ["core-3", "web-0", "ops-19"]) expect(await rig.serves(`acme/${slug}`)).toBe("equal");
    const verified = await run(
      "verify",
      "--json",
      "--api-url",
      rig.fake.apiUrl,
      "--git-url",
      rig.fake.gitUrl,
    );
    expect(verified.exitCode).toBe(0);
    const reports = dataOf(verified.stdout) as { isGood: boolean }[];
    expect(reports.filter(({ isGood }) => isGood)).toHaveLength(60);
  });

  test("back to one project: the others are served no more, at once, and after the next round are not mirrored", async () => {
    expect(await run("select", "acme", "--project", "OPS", ...primaryOptions())).toMatchObject({
      exitCode: 0,
    });
    const ops = REPOSITORIES.filter(({ project }) => project === "OPS").map(({ slug }) => slug);
    expect(await servedSlugs()).toEqual(ops);
    expect((await sync()).exitCode).toBe(0);
    const states = await repositoriesByState();
    expect(states["AVAILABLE"]?.length).toBe(20);
    expect(states["NOT_MIRRORED"]?.length).toBe(40);
  });
});
