/** The mirror follows changes at the primary, by webhooks or by polling. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";

let rig: LocalMirrorRig;

const ACME = { workspace: "acme", credential: "bot" } as const;

describe("selection", () => {
  useRig(beforeAll, afterAll);

  test("3 projects, 60 repositories: what is selected is mirrored, from some to all and back", async () => {
    const all = ["CORE", "WEB", "OPS"].flatMap((project) =>
      Array.from({ length: 20 }, (_, index) => ({ project, slug: `${project.toLowerCase()}-${index}` })),
    );
    for (const { slug, project } of all) await rig.create("acme", slug, project);
    const servedCount = async () => {
      const served = await Promise.all(all.map(({ slug }) => rig.isServed(`acme/${slug}`)));
      return served.filter(Boolean).length;
    };
    await rig.select({ ...ACME, projects: ["CORE"], include: ["web-1?"], exclude: ["*-3"] });
    expect(await servedCount()).toBe(19 + 10);
    await rig.select({ ...ACME, projects: "all" });
    await rig.mirror.reconcile("quick");
    await rig.settled();
    for (const slug of ["core-0", "web-3", "ops-19"]) expect(await rig.serves(`acme/${slug}`)).toBe("equal");
    expect(await servedCount()).toBe(60);
    expect(await rig.mirror.servedNames()).toHaveLength(60);
    // At once, without a round before.
    await rig.select({ ...ACME, projects: ["WEB"] });
    expect(await servedCount()).toBe(20);
    await rig.select({ ...ACME, projects: "all", publicRepositories: false });
    expect(await servedCount()).toBe(0);
    await rig.select({ ...ACME, projects: "all", disabled: true });
    expect(await servedCount()).toBe(0);
    await rig.select({ ...ACME, projects: "all" });
    expect(await servedCount()).toBe(60);
  });
});

describe.each([
  ["by a webhook", false],
  ["by looking, all webhooks lost", true],
] as const)("%s", (_how, dropWebhooks) => {
  useRig(beforeAll, afterAll);

  beforeAll(async () => {
    for (const slug of ["pushed", "deleted", "old", "former", "moving", "leaving"]) {
      await rig.create("acme", slug, "CORE");
    }
    await rig.create("acme", "lab", "LAB");
    await rig.create("beta", "tools", "OPS");
    await rig.select({ ...ACME, projects: ["CORE", "LAB"] }, { ...ACME, workspace: "beta", projects: "all" });
    rig.fake.controls.misbehave({ dropWebhooks });
  });

  async function followed(): Promise<void> {
    await rig.settled();
    if (!dropWebhooks) return;
    await rig.mirror.reconcile("list");
    await rig.settled();
  }

  test("a push", async () => {
    await rig.commit("acme", "pushed");
    expect(await rig.serves("acme/pushed")).toBe("different");
    await rig.fake.lifecycle.pushed({ workspace: "acme", slug: "pushed" });
    await followed();
    expect(await rig.serves("acme/pushed")).toBe("equal");
    expect(await rig.state("acme/pushed")).toMatchObject({ state: "AVAILABLE", failedSyncCount: 0 });
  });

  test.each(["repo:created", "repo:imported"] as const)("%s", async (event) => {
    const place = { workspace: "acme", slug: event.slice("repo:".length) };
    await rig.fake.lifecycle.create(place, { project: "CORE", public: true }, undefined, event);
    await rig.fake.lifecycle.create(
      { workspace: "acme", slug: `${place.slug}-unwanted` },
      { project: "WEB" },
    );
    await followed();
    expect(await rig.serves(`acme/${place.slug}`)).toBe("equal");
    expect(await rig.serves(`acme/${place.slug}-unwanted`)).toBe("not served");
  });

  test("deleted: nothing leads to it, the data waits", async () => {
    await rig.fake.lifecycle.remove({ workspace: "acme", slug: "deleted" });
    await followed();
    expect(await rig.serves("acme/deleted")).toBe("not served");
    expect(await rig.serves("acme/pushed")).toBe("equal");
  });

  test("renamed: under its new name, and under the old one until another takes it", async () => {
    await rig.fake.lifecycle.rename({ workspace: "acme", slug: "old" }, "renamed");
    await followed();
    expect(await rig.serves("acme/renamed")).toBe("equal");
    expect(await rig.serves("acme/old", "acme/renamed")).toBe("equal");
    await rig.create("acme", "old", "CORE");
    const mine = await rig.commit("acme", "old");
    await rig.fake.lifecycle.pushed({ workspace: "acme", slug: "old" });
    await followed();
    expect(await rig.serves("acme/old")).toBe("equal");
    expect(await git(["ls-remote", `${rig.server.url}/acme/old.git`, "main"])).toContain(mine);
    expect(await rig.serves("acme/renamed")).toBe("equal");
  });

  test("a name that now belongs to a repository that is not mirrored leads to none", async () => {
    await rig.fake.lifecycle.rename({ workspace: "acme", slug: "former" }, "present");
    await followed();
    await rig.create("acme", "former", "WEB");
    await followed();
    expect(await rig.serves("acme/former")).toBe("not served");
    expect(await rig.serves("acme/present")).toBe("equal");
  });

  test("moved to a project that is not mirrored, and back", async () => {
    await rig.fake.lifecycle.change({ workspace: "acme", slug: "moving" }, { project: "WEB" });
    await followed();
    expect(await rig.serves("acme/moving")).toBe("not served");
    expect(await rig.state("acme/moving")).toMatchObject({ state: "NOT_MIRRORED", projectKey: "WEB" });
    await rig.fake.lifecycle.change({ workspace: "acme", slug: "moving" }, { project: "CORE" });
    await followed();
    expect(await rig.serves("acme/moving")).toBe("equal");
    expect(await rig.state("acme/moving")).toMatchObject({ state: "AVAILABLE" });
  });

  test("transferred to another workspace", async () => {
    await rig.fake.lifecycle.transfer({ workspace: "acme", slug: "leaving" }, "beta");
    await followed();
    expect(await rig.serves("beta/leaving")).toBe("equal");
    await rig.fake.lifecycle.transfer({ workspace: "beta", slug: "tools" }, "elsewhere");
    await rig.mirror.reconcile("list");
    await rig.settled();
    expect(await rig.serves("beta/tools", "elsewhere/tools")).toBe("not served");
  });

  test("a project gets another key", async () => {
    await rig.fake.lifecycle.renameProject("acme", "LAB", "KERNEL");
    await followed();
    expect(await rig.serves("acme/lab")).toBe("not served");
  });
});

describe("altogether", () => {
  useRig(beforeEach, afterEach);

  test("everything at once, no webhook arrives: all is right after one reconcile", async () => {
    const { lifecycle, controls } = rig.fake;
    for (const slug of ["a", "b", "c", "d", "e"]) await rig.create("acme", slug, "CORE");
    await rig.select({ ...ACME, projects: ["CORE"] });
    controls.misbehave({ dropWebhooks: true });
    await rig.commit("acme", "a");
    await lifecycle.rename({ workspace: "acme", slug: "b" }, "b2");
    await lifecycle.remove({ workspace: "acme", slug: "c" });
    await lifecycle.change({ workspace: "acme", slug: "d" }, { project: "WEB" });
    await rig.create("acme", "c", "CORE");
    await rig.create("acme", "f", "CORE");
    await rig.mirror.reconcile("full");
    await rig.settled();
    const names = ["a", "b2", "c", "d", "e", "f"].map((slug) => `acme/${slug}`);
    const served = await Promise.all(names.map((name) => rig.serves(name)));
    expect(served).toEqual(["equal", "equal", "equal", "not served", "equal", "equal"]);
  });

  test.each([
    { primary: "takes uuids", refuseUuids: false },
    { primary: "takes names only", refuseUuids: true },
  ])(
    "a name that another takes without a word opens nothing of the old one, until it is looked for; the primary $primary",
    async ({ refuseUuids }) => {
      const { lifecycle, controls } = rig.fake;
      controls.misbehave({ refuseUuids });
      await rig.create("acme", "a", "CORE");
      await rig.select({ ...ACME, projects: "all" });
      controls.misbehave({ dropWebhooks: true });
      await lifecycle.change({ workspace: "acme", slug: "a" }, { public: false });
      await rig.commit("acme", "a");
      await lifecycle.rename({ workspace: "acme", slug: "a" }, "hidden");
      await rig.create("acme", "a", "CORE");
      await rig.commit("acme", "a");
      // The new one is public, the one that the mirror has under the name is not any more.
      const asked = await tryGit(["ls-remote", `${rig.server.url}/acme/a.git`]);
      expect([asked.exitCode === 0, Buffer.from(asked.stdout).toString()]).toEqual([false, ""]);
      await rig.mirror.reconcile("full");
      await rig.settled();
      expect(await rig.serves("acme/a")).toBe("equal");
      expect(await rig.serves("acme/hidden")).toBe("not served");
    },
  );

  test("a burst of 100 pushes to one repository ends in few syncs, and no ref is lost", async () => {
    await rig.create("acme", "a", "CORE");
    await rig.select({ ...ACME, projects: "all" });
    rig.fake.controls.clearRequests();
    for (let count = 0; count < 10; count++) await rig.commit("acme", "a");
    const events = Array.from({ length: 100 }, (_, count) =>
      rig.fake.lifecycle.pushed({ workspace: "acme", slug: "a" }, [{ new: { name: `branch-${count}` } }]),
    );
    await Promise.all(events);
    await rig.settled();
    expect(await rig.serves("acme/a")).toBe("equal");
    const listings = rig.fake.controls.requests.filter(
      ({ method, path }) => method === "GET" && path.endsWith(".git/info/refs"),
    );
    expect(listings.length).toBeGreaterThan(0);
    // Two would do; on a busy machine the events come in over a second or more.
    expect(listings.length).toBeLessThanOrEqual(10);
    expect(rig.fake.controls.deliveries.map(({ status }) => status)).toEqual(Array(100).fill(202));
  });

  test("REST answers 429: pushes are followed by git alone", async () => {
    await rig.create("acme", "a", "CORE");
    await rig.select({ ...ACME, projects: "all" });
    rig.fake.controls.misbehave({ rateLimitedForSeconds: 600, appliesTo: "rest" });
    await rig.commit("acme", "a");
    await rig.fake.lifecycle.pushed({ workspace: "acme", slug: "a" });
    await rig.settled();
    expect(await rig.serves("acme/a")).toBe("equal");
    await rig.commit("acme", "a");
    await rig.mirror.reconcile("quick");
    await rig.settled();
    expect(await rig.serves("acme/a")).toBe("equal");
  });

  test("the mirror puts up its webhook, repairs it, and takes it down with the workspace; then the data goes", async () => {
    await rig.create("acme", "a", "CORE");
    await rig.select({ ...ACME, projects: "all", retentionDays: 0 });
    const hooks = async () => {
      const authorization = `Basic ${btoa("developer@example.com:developer")}`;
      const url = `${rig.fake.apiUrl}/workspaces/acme/hooks`;
      const { values } = (await (await fetch(url, { headers: { authorization } })).json()) as {
        values: { url: string; active: boolean; events: string[]; secret_set: boolean }[];
      };
      return values;
    };
    expect(await hooks()).toMatchObject([
      { url: `${rig.server.url}/-/webhooks/acme`, active: true, secret_set: true },
    ]);
    await changeMirrorConfig(rig.store, (config) => ({
      ...config,
      workspaces: config.workspaces.map((one) => ({ ...one, removedAt: new Date().toISOString() })),
    }));
    expect(await rig.serves("acme/a")).toBe("not served");
    await rig.mirror.reconcile("quick");
    await rig.settled();
    // Of documents tombstones stay.
    for await (const { key } of rig.store.list("repos/"))
      expect(new TextDecoder().decode((await rig.store.read(key)).bytes), key).toBe('{"tombstone":true}\n');
  });
});

function useRig(before: typeof beforeAll, after: typeof afterAll): void {
  before(async () => {
    rig = await startLocalMirrorRig();
  });
  after(() => rig.close());
}
