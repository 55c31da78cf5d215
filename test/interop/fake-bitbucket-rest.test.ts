/** The project's REST client against the fake, and the fake as a program. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { basicAuthorization } from "../../lib/bitbucket/credential.ts";
import { bitbucketRestApi } from "../../lib/bitbucket/rest-api.ts";
import { NotFoundError } from "../../lib/errors.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { git } from "../support/git/run-git.ts";

let acme: AcmeWorkspace;

beforeEach(async () => {
  acme = await openAcmeWorkspace();
});

afterEach(async () => {
  await acme.close();
});

const OLGA = basicAuthorization("olga@example.com", "olga-token");

function apiAs(authorization: string | undefined) {
  return bitbucketRestApi({ fetch, apiUrl: acme.fake.apiUrl, authorization });
}

async function slugsOf(listing: AsyncIterable<{ readonly slug: string }>): Promise<string[]> {
  const slugs: string[] = [];
  for await (const { slug } of listing) slugs.push(slug);
  return slugs.sort();
}

/** The least that git takes for a bare repository. */
async function makeEmptyRepository(slug: string): Promise<void> {
  await mkdir(join(acme.primary(slug), "refs"), { recursive: true });
  await mkdir(join(acme.primary(slug), "objects"));
  await writeFile(join(acme.primary(slug), "HEAD"), "ref: refs/heads/main\n");
}

test("a repository is as git has it, under its name and its uuid", async () => {
  const site = await apiAs(undefined).repository("ACME", "Site");
  expect(site).toMatchObject({
    fullName: "acme/site",
    isPrivate: false,
    projectKey: "WEB",
  });
  expect(await apiAs(undefined).repository("acme", `{${site.uuid}}`)).toEqual(site);
  await makeEmptyRepository("nothing-yet");
  expect(await apiAs(OLGA).repository("acme", "nothing-yet")).toMatchObject({ slug: "nothing-yet" });
});

test("a caller sees what it may read, and the rest is not found", async () => {
  expect(await slugsOf(apiAs(undefined).repositories("acme"))).toEqual(["site"]);
  expect(await slugsOf(apiAs(OLGA).repositories("acme"))).toEqual(["site", "vault"]);
  const robot = "Bearer robot-token";
  expect(await slugsOf(apiAs(robot).repositories("acme", { projectKey: "MAIN" }))).toEqual(["vault"]);
  await expect(apiAs(undefined).repository("acme", "vault")).rejects.toThrow(NotFoundError);
  await expect(slugsOf(apiAs(OLGA).repositories("nobody"))).rejects.toThrow(NotFoundError);
  const wrong = basicAuthorization("olga@example.com", "wrong");
  await expect(apiAs(wrong).repository("acme", "site")).rejects.toMatchObject({ context: { status: 401 } });
});

test("a list of several pages is read whole", async () => {
  for (let i = 0; i < 105; i++) await makeEmptyRepository(`many-${i}`);
  expect(new Set(await slugsOf(apiAs(OLGA).repositories("acme"))).size).toBe(107);
  expect(acme.fake.controls.requests).toHaveLength(2);
});

test("q, sort and pagelen are understood, and what is not is refused", async () => {
  for (const slug of ["a", "b", "c"]) await makeEmptyRepository(slug);
  const list = async (parameters: Record<string, string>) => {
    const url = `${acme.fake.apiUrl}/repositories/acme?${new URLSearchParams(parameters)}`;
    const response = await fetch(url, { headers: { Authorization: "Bearer olga-token" } });
    return {
      status: response.status,
      body: (await response.json()) as { values: { slug: string }[]; next?: string },
    };
  };
  const first = await list({ sort: "-slug", pagelen: "2", q: 'project.key="MAIN" AND slug!="vault"' });
  expect(first.body.values.map(({ slug }) => slug)).toEqual(["c", "b"]);
  const rest = await fetch(first.body.next ?? "", { headers: { Authorization: "Bearer olga-token" } });
  expect(await rest.json()).toMatchObject({ values: [{ slug: "a" }] });
  const future = await list({ q: "updated_on > 2999-01-01T00:00:00+00:00" });
  expect(future.body.values).toEqual([]);
  for (const wrong of [{ pagelen: "101" }, { q: "slug" }, { sort: "nonsense" }, { page: "2" }] as const) {
    expect(await list(wrong)).toMatchObject({ status: 400, body: { type: "error" } });
  }
});

test("projects and the caller are listed", async () => {
  const headers = { Authorization: "Bearer olga-token" };
  const projects = await fetch(`${acme.fake.apiUrl}/workspaces/acme/projects`, { headers });
  expect(await projects.json()).toMatchObject({ values: [{ key: "MAIN" }, { key: "WEB" }] });
  expect(projects.headers.get("x-ratelimit-limit")).toMatch(/^\d+$/);
  expect(await (await fetch(`${acme.fake.apiUrl}/user`, { headers })).json()).toMatchObject({
    nickname: "olga",
  });
  expect((await fetch(`${acme.fake.apiUrl}/user`)).status).toBe(401);
});

const PROGRAM = join(import.meta.dirname, "../support/fake-bitbucket/main.ts");

test("as a program it prints its URLs as JSON, serves, and ends cleanly", async () => {
  const child = spawn(process.execPath, [PROGRAM, "--repos", join(acme.folder, "primary"), "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  try {
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const { gitUrl, apiUrl } = JSON.parse(line) as { gitUrl: string; apiUrl: string };
    expect(await git(["ls-remote", `${gitUrl}/acme/vault`])).toContain("refs/heads/main");
    expect((await fetch(`${apiUrl}/repositories/acme/vault`)).status).toBe(200);
  } finally {
    child.kill("SIGTERM");
  }
  expect(await exited).toEqual([0, null]);
});

test.each([
  { args: ["--help"], exitCode: 0, says: "--webhook-secret" },
  { args: [], exitCode: 1, says: "--repos" },
  { args: ["--repos", ".", "--port", "x"], exitCode: 1, says: "0 to 65535" },
  { args: ["--repos", "no-such-folder"], exitCode: 1, says: "no-such-folder" },
])("the arguments $args end it with $exitCode", async ({ args, exitCode, says }) => {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  expect(await once(child, "close")).toEqual([exitCode, null]);
  expect(output).toContain(says);
});
