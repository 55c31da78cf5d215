/** Repositories that are not served, or not yet: downloads are answered by what the primary says, as few clients follow a redirect of a POST. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  CREDENTIALS,
  type GuardedMirror,
  type GuardedMirrorOptions,
  startGuardedMirror,
} from "../../support/guarded-mirror.ts";
import { reserveUnmirrored } from "../../support/unmirrored-repository.ts";

const READER = CREDENTIALS["API token of a reader, fixed username"];
const CONTENT = Buffer.from("a file");
const OID = createHash("sha256").update(CONTENT).digest("hex");
let mirror: GuardedMirror;

beforeAll(async () => {
  mirror = await startGuardedMirror();
  await reserveUnmirrored(mirror);
  for (const slug of ["unmirrored", "vault"]) {
    const file = join(mirror.primary(slug), "lfs/objects", OID.slice(0, 2), OID.slice(2, 4), OID);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, CONTENT);
  }
});
beforeEach(() => mirror.fake.lfs.reset());
afterAll(() => mirror.close());

async function batch(url: string, slug: string, authorization: string | undefined, operation = "download") {
  const response = await fetch(`${url}/acme/${slug}.git/info/lfs/objects/batch`, {
    method: "POST",
    headers: authorization === undefined ? {} : { authorization },
    body: JSON.stringify({ operation, objects: [{ oid: OID, size: CONTENT.length }] }),
    redirect: "manual",
  });
  const { objects } = (await response.json()) as {
    objects?: { actions?: { download?: { href: string } } }[];
  };
  return {
    status: response.status,
    location: response.headers.get("location"),
    href: objects?.[0]?.actions?.download?.href,
  };
}

test.each<[string, string, GuardedMirrorOptions, number]>([
  ["not mirrored yet", "unmirrored", {}, 503],
  ["no longer selected", "vault", { selection: { projects: ["OTHER"] } }, 404],
  ["paused", "vault", { selection: { disabled: true } }, 503],
])("%s", async (_, slug, options, ofGit) => {
  const { url } = await mirror.restarted(options);
  const refs = await fetch(`${url}/acme/${slug}.git/info/refs?service=git-upload-pack`, {
    headers: { authorization: READER ?? "" },
  });
  expect(refs.status).toBe(ofGit);
  const { status, href = "" } = await batch(url, slug, READER);
  expect(status).toBe(200);
  expect(href).toContain("client=fake");
  expect(mirror.fake.lfs.batches).toMatchObject([{ caller: "rita", transfers: ["basic"] }]);

  const upload = await batch(url, slug, READER, "upload");
  const location = `${mirror.fake.gitUrl}/acme/${slug}.git/info/lfs/objects/batch`;
  expect(upload).toMatchObject({ status: 307, location });
  expect((await batch(url, slug, CREDENTIALS["API token without rights"])).status).toBe(404);
  expect((await batch(url, slug, undefined)).status).toBe(401);
  expect(mirror.fake.lfs.batches).toHaveLength(1);
});
