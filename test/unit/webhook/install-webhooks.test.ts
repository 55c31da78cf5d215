import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { basicAuthorization } from "../../../lib/bitbucket/credential.ts";
import { type BitbucketHooksApi, bitbucketHooksApi } from "../../../lib/bitbucket/hooks-api.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import {
  type InstallWebhooksOptions,
  installedWebhooks,
  installWebhooks,
  removeWebhooks,
} from "../../../lib/webhook/install-webhooks.ts";
import { WEBHOOK_EVENTS } from "../../../lib/webhook/webhook-event.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../../support/fake-bitbucket/acme-workspace.ts";
import { stableUuid } from "../../support/fake-bitbucket/catalogue.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

let acme: AcmeWorkspace;
let store: MemoryBlobStore;
let nowMs: number;

beforeAll(async () => {
  acme = await openAcmeWorkspace();
});

afterAll(() => acme.close());

beforeEach(async () => {
  store = new MemoryBlobStore();
  nowMs = Date.parse("2026-11-01T00:00:00Z");
  acme.fake.controls.behave();
  for (const place of [{ workspace: "acme" }, VAULT, SITE]) {
    for (const { uuid } of await apiAs("olga").list(place)) await apiAs("olga").remove(place, uuid);
  }
});

const VAULT = { workspace: "acme", uuid: stableUuid("repository", "acme/vault") };
const SITE = { workspace: "acme", uuid: stableUuid("repository", "acme/site") };

/** `olga` is admin of the workspace, `rita` of one repository only. */
function apiAs(name: string): BitbucketHooksApi {
  const authorization = basicAuthorization(`${name}@example.com`, `${name}-token`);
  return bitbucketHooksApi({ fetch, apiUrl: acme.fake.apiUrl, authorization });
}

function optionsAs(name: string, others: Partial<InstallWebhooksOptions> = {}): InstallWebhooksOptions {
  return {
    store,
    api: apiAs(name),
    mirrorUrl: "https://mirror.example/git",
    mirrorName: "Nearside",
    secret: "master",
    repositories: async () => [VAULT.uuid, SITE.uuid],
    log: SILENT_LOGGER,
    now: () => new Date(nowMs),
    ...others,
  };
}

async function state() {
  return (await installedWebhooks(store, "acme").read()).value;
}

test("one on the workspace, with a secret and all events; the next runs ask nothing", async () => {
  await installWebhooks("acme", optionsAs("olga"));
  expect(await apiAs("olga").list({ workspace: "acme" })).toMatchObject([
    {
      url: "https://mirror.example/git/-/webhooks/acme",
      active: true,
      secret_set: true,
      events: [...WEBHOOK_EVENTS],
    },
  ]);
  expect(await state()).toMatchObject({ level: "workspace" });
  acme.fake.controls.clearRequests();
  await installWebhooks("acme", optionsAs("olga"));
  expect(acme.fake.controls.requests).toEqual([]);
});

test("a new secret is installed while the old one is accepted as well, and nothing changes when that ends", async () => {
  const [old, next] = ["o".repeat(32), "n".repeat(32)];
  const descriptions: (string | undefined)[] = [];
  for (const secret of [old, `${next},${old}`, next]) {
    await installWebhooks("acme", optionsAs("olga", { secret }));
    const [hook] = await apiAs("olga").list({ workspace: "acme" });
    descriptions.push(hook?.description ?? undefined);
  }
  expect(descriptions[1]).not.toBe(descriptions[0]);
  expect(descriptions[2]).toBe(descriptions[1]);
});

test("what people did to it is repaired, doubles go, and other webhooks are left alone", async () => {
  const api = apiAs("olga");
  await installWebhooks("acme", optionsAs("olga"));
  const [ours] = await api.list({ workspace: "acme" });
  if (ours === undefined) throw new Error("not installed");
  const settings = {
    url: "https://ci.example/",
    events: ["repo:push"],
    active: true,
    secret: "theirs",
  } as const;
  await api.create({ workspace: "acme" }, { ...settings, description: "CI" });
  const description = ours.description ?? "";
  await api.create({ workspace: "acme" }, { ...settings, description });
  await api.update({ workspace: "acme" }, ours.uuid, { ...settings, description });
  nowMs += 7 * 3_600_000;
  await installWebhooks("acme", optionsAs("olga"));
  const hooks = await api.list({ workspace: "acme" });
  expect(hooks.map(({ url }) => url).sort()).toEqual([
    "https://ci.example/",
    "https://mirror.example/git/-/webhooks/acme",
  ]);
});

test("a new secret and a new address take effect with the next run", async () => {
  await installWebhooks("acme", optionsAs("olga"));
  const [before] = await apiAs("olga").list({ workspace: "acme" });
  await installWebhooks("acme", optionsAs("olga", { secret: "another" }));
  const [after] = await apiAs("olga").list({ workspace: "acme" });
  expect(after?.uuid).toBe(before?.uuid);
  expect(after?.description).not.toBe(before?.description);
  await installWebhooks("acme", optionsAs("olga", { secret: "another", mirrorUrl: "https://new.example" }));
  expect(await apiAs("olga").list({ workspace: "acme" })).toMatchObject([
    { url: "https://new.example/-/webhooks/acme" },
  ]);
});

test("without rights on the workspace: on each repository where the account may, and it says where not", async () => {
  const { accounts } = acme.fake.controls;
  acme.fake.controls.replaceAccounts({
    ...accounts,
    callers: accounts.callers.map((one) =>
      one.name === "rita" ? { ...one, rights: { "acme/vault": "admin" } } : one,
    ),
  });
  await installWebhooks("acme", optionsAs("rita"));
  expect(await apiAs("olga").list({ workspace: "acme" })).toEqual([]);
  expect(await apiAs("olga").list(VAULT)).toMatchObject([{ secret_set: true }]);
  expect(await apiAs("olga").list(SITE)).toEqual([]);
  expect(await state()).toMatchObject({
    level: "repository",
    problem: expect.stringContaining("1 repository"),
  });
  // The account gets the right: the repository's own is taken down again.
  acme.fake.controls.replaceAccounts(accounts);
  nowMs += 7 * 3_600_000;
  await installWebhooks("acme", optionsAs("olga"));
  expect(await apiAs("olga").list(VAULT)).toEqual([]);
  expect(await state()).toMatchObject({ level: "workspace" });
});

test("while REST is down nothing is noted, so the next run tries again", async () => {
  acme.fake.controls.misbehave({ down: true });
  await installWebhooks("acme", optionsAs("olga"));
  expect(await state()).toBeUndefined();
});

test("removed: ours are taken down, all of them, and no others", async () => {
  await installWebhooks("acme", optionsAs("olga"));
  await installWebhooks("acme", {
    ...optionsAs("olga", { mirrorName: "Second" }),
    store: new MemoryBlobStore(),
  });
  await removeWebhooks("acme", optionsAs("olga"));
  expect(await apiAs("olga").list({ workspace: "acme" })).toMatchObject([
    { description: expect.stringContaining("Second") },
  ]);
  expect(await state()).toBeUndefined();
});
