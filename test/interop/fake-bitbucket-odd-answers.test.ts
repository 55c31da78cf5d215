/** REST's odd answers, as the fake gives them and as the mirror gets along with them. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { basicAuthorization } from "../../lib/bitbucket/credential.ts";
import { bitbucketRestApi } from "../../lib/bitbucket/rest-api.ts";
import type { SkippedEntry } from "../../lib/bitbucket/rest-pages.ts";
import { UpstreamError } from "../../lib/errors.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import type { Misbehaviour } from "../support/fake-bitbucket/controls.ts";
import { startLocalMirrorRig } from "../support/local-mirror-rig.ts";

describe("the fake", () => {
  let acme: AcmeWorkspace;
  beforeAll(async () => {
    acme = await openAcmeWorkspace();
  });
  beforeEach(() => acme.fake.controls.behave());
  afterAll(() => acme.close());

  const OLGA = `Basic ${btoa("olga@example.com:olga-token")}`;
  async function ask(path: string, authorization = OLGA) {
    const response = await fetch(`${acme.fake.apiUrl}/repositories/${path}`, { headers: { authorization } });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return { status: response.status, text, json: isJson ? JSON.parse(text) : undefined };
  }

  test("a partial response has what was asked for, and a misspelt field is refused", async () => {
    const { json } = await ask("acme?fields=next,values.slug,values.project.key&pagelen=1");
    expect(json).toEqual({ next: expect.any(String), values: [{ slug: "site", project: { key: "WEB" } }] });
    expect((await ask("acme/site?fields=slug,size")).json).toEqual({
      slug: "site",
      size: expect.any(Number),
    });
    for (const path of [
      "acme?fields=values.slugg",
      "acme?fields=valuess.slug",
      "acme/site?fields=full_nam",
      "acme/site?fields=project.ky",
    ])
      expect((await ask(path)).json).toMatchObject({
        type: "error",
        error: { message: expect.stringContaining("Invalid field") },
      });
  });

  test("entries of a list, and the list itself", async () => {
    const list = async (changes: Partial<Misbehaviour>, parameters = "") => {
      acme.fake.controls.behave();
      acme.fake.controls.misbehave(changes);
      return (await ask(`acme?sort=slug${parameters}`)).json;
    };
    expect((await list({ emptyLists: true })).values).toEqual([]);
    const [site, vault] = (await list({ oddEntries: { site: null, vault: { size: -1, links: "(absent)" } } }))
      .values;
    expect([site, vault.slug, vault.size, "links" in vault]).toEqual([null, "vault", -1, false]);
    const [reduced] = (await list({ omitsOptional: true })).values;
    expect(Object.keys(reduced).sort()).toEqual(["full_name", "is_private", "slug", "type", "uuid"]);
    expect(await list({ lastNext: "null" })).toHaveProperty("next", null);
    expect((await list({ lastNext: "first page" })).next).not.toContain("page=");
    const { values, next } = await list({ unstablePages: true }, "&pagelen=1");
    const second = await (await fetch(next, { headers: { authorization: OLGA } })).json();
    expect([values[0].slug, (second as { values: { slug: string }[] }).values[0]?.slug]).toEqual([
      "site",
      "site",
    ]);
  });

  test("refusals", async () => {
    acme.fake.controls.misbehave({ rateLimitedForSeconds: 3, rateLimitAsText: true });
    expect(await ask("acme")).toMatchObject({ status: 429, json: undefined });
    acme.fake.controls.behave();
    acme.fake.controls.misbehave({ failWithStatus: 410 });
    expect(await ask("acme")).toMatchObject({ status: 410, json: { type: "error" } });
    acme.fake.controls.behave();
    const stranger = `Basic ${btoa("stranger@example.com:stranger-token")}`;
    expect((await ask("acme/vault", stranger)).status).toBe(404);
    acme.fake.controls.misbehave({ forbidsVisibly: true });
    expect((await ask("acme/vault", stranger)).status).toBe(403);
    expect((await ask("acme/nothing", stranger)).status).toBe(404);
  });

  test("a list of the mirror's asks for fields that there are, and skips what cannot be used", async () => {
    const authorization = basicAuthorization("olga@example.com", "olga-token");
    const api = bitbucketRestApi({ fetch, apiUrl: acme.fake.apiUrl, authorization });
    const slugs = async () => {
      const found: string[] = [];
      const skipped: SkippedEntry[] = [];
      for await (const { slug } of api.repositories("acme", { onSkipped: (one) => skipped.push(one) }))
        found.push(slug);
      return { found: found.sort(), skipped: skipped.length };
    };
    expect(await slugs()).toEqual({ found: ["site", "vault"], skipped: 0 });
    for (const changes of [{ omitsOptional: true }, { lastNext: "null" }] as const) {
      acme.fake.controls.behave();
      acme.fake.controls.misbehave(changes);
      expect(await slugs()).toEqual({ found: ["site", "vault"], skipped: 0 });
    }
    acme.fake.controls.misbehave({ lastNext: "first page" });
    await expect(slugs()).rejects.toThrow("leads back");
    for (const odd of [null, { slug: "(absent)" }, { full_name: null }, { is_private: "yes" }, { uuid: 7 }]) {
      acme.fake.controls.behave();
      acme.fake.controls.misbehave({ oddEntries: { site: odd } });
      expect(await slugs()).toEqual({ found: ["vault"], skipped: 1 });
    }
    acme.fake.controls.behave();
    acme.fake.controls.misbehave({ rateLimitedForSeconds: 3, rateLimitAsText: true });
    await expect(slugs()).rejects.toMatchObject({ constructor: UpstreamError, retryAfterSeconds: 3 });
  });
});

describe("the mirror", () => {
  let close: () => Promise<void> = async () => undefined;
  afterEach(() => close());

  test.each<[string, Partial<Misbehaviour>, string]>([
    ["no odd answer", {}, "equal"],
    ["only what it needs", { omitsOptional: true }, "equal"],
    ["a size below zero", { oddEntries: { odd: { size: -1 } } }, "equal"],
    ["no links", { oddEntries: { odd: { links: "(absent)" } } }, "equal"],
    ["no time", { oddEntries: { odd: { updated_on: null } } }, "equal"],
    ["no entry", { oddEntries: { odd: null } }, "not served"],
    ["no name", { oddEntries: { odd: { full_name: null } } }, "not served"],
    ["next: null", { lastNext: "null" }, "equal"],
    ["pages that lead back", { lastNext: "first page" }, "equal"],
    ["one reset", { down: true, requestsLeft: 1 }, "equal"],
    ["one cut answer", { cutAfterBytes: 20, requestsLeft: 1 }, "equal"],
  ])("mirrors the others after %s", async (_, changes, odd) => {
    const rig = await startLocalMirrorRig();
    close = () => rig.close();
    await rig.create("acme", "app", "CORE");
    await rig.create("acme", "odd", "CORE");
    rig.fake.controls.misbehave(changes);
    // By project would need what `omitsOptional` takes away.
    await rig.select({ workspace: "acme", credential: "bot", projects: "all" });
    await rig.settled();
    rig.fake.controls.behave();
    expect([await rig.serves("acme/app"), await rig.serves("acme/odd")]).toEqual(["equal", odd]);
  });
});
