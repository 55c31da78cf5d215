/** Pages of a process that has another one do what administrators ask for. */
import { expect, test } from "vitest";
import { ConfigError, OverloadedError, UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { changeMirrorConfig, readMirrorConfig } from "../../../lib/mirror/config-store.ts";
import { EMPTY_CONFIG } from "../../../lib/mirror/mirror-config.ts";
import { Administrators } from "../../../lib/pages/administrators.ts";
import { delegatedActions, delegateOver } from "../../../lib/pages/delegated-actions.ts";
import { adminRig, OLGA } from "../../support/admin-rig.ts";
import { stableUuid } from "../../support/fake-bitbucket/catalogue.ts";

const BASIC = `Basic ${btoa(`${OLGA.user}:${OLGA.token}`)}`;

function delegateOf(problem?: ConfigError | OverloadedError) {
  const asked: object[] = [];
  const ask = async (request: object) => {
    asked.push(request);
    if (problem !== undefined) throw problem;
  };
  const delegate = {
    perform: ask,
    deadLetters: async (request: object) => {
      await ask(request);
      return ["acme/vault, push"];
    },
  };
  return { asked, delegate };
}

test("what changes the mirror is sent with the caller's credential for REST; syncs are queued here", async () => {
  const { asked, delegate } = delegateOf();
  const { act, jobs, config, log } = await adminRig({ delegate });
  await act("pause");
  await act("select", { projects: "CORE", retentionDays: "3" });
  expect(asked).toEqual([
    { workspace: "acme", authorization: BASIC, action: "pause", form: "" },
    { workspace: "acme", authorization: BASIC, action: "select", form: "projects=CORE&retentionDays=3" },
  ]);
  expect(await config()).toMatchObject({ disabled: false, projects: "all" });
  await act("sync");
  expect([asked.length, jobs.length]).toEqual([2, 1]);
  expect(await log()).toMatchObject([{ action: "pause" }, { action: "select" }, { action: "sync" }]);
  // A form that is not valid is not sent.
  expect((await act("remove", { confirm: "other" })).status).toBe(400);
  expect(asked).toHaveLength(2);
});

test.each([
  [new ConfigError("acme is not connected"), "acme is not connected"],
  [new OverloadedError("the function gave no answer", { status: 503 }), "the function gave no answer"],
])("what the other process did not do is shown and logged: %s", async (error, text) => {
  const { delegate } = delegateOf(error);
  const { act, log } = await adminRig({ delegate });
  const answer = await act("pause");
  expect([answer.status, answer.text]).toEqual([409, expect.stringContaining(text)]);
  expect(await log()).toMatchObject([{ action: "pause" }, { action: "pause", problem: text }]);
});

test("dead letters are asked for by a link, not with each page", async () => {
  const { asked, delegate } = delegateOf();
  const { send, sessionOf } = await adminRig({ delegate });
  const headers = await sessionOf(OLGA);
  const { text } = await send("/-/admin/acme", { headers });
  expect([asked, text]).toEqual([
    [],
    expect.stringContaining('href="/-/admin/acme?letters=yes#letters-title"'),
  ]);
  expect((await send("/-/admin/acme?letters=yes", { headers })).text).toContain("acme/vault, push");
  expect(asked).toEqual([{ workspace: "acme", authorization: BASIC }]);
});

async function performing(administered: readonly string[] | Error) {
  const rig = await adminRig();
  const changes: string[] = [];
  const answer = delegatedActions({
    ...{
      store: rig.store,
      readConfig: async () => (await readMirrorConfig(rig.configStore)) ?? EMPTY_CONFIG,
    },
    administrators: new Administrators({
      ...{ store: rig.store, now: () => rig.clock.nowMs },
      async administered() {
        if (administered instanceof Error) throw administered;
        return administered.map((slug) => ({ slug, uuid: stableUuid("workspace", slug) }));
      },
    }),
    administration: {
      canConnect: false,
      requests: { request: async () => undefined },
      configuration: {
        change: async (change) =>
          void changes.push(JSON.stringify(await changeMirrorConfig(rig.configStore, change))),
        tryAccount: async () => "acme/vault",
        acceptRemovals: async () => undefined,
      },
      log: SILENT_LOGGER,
    },
    log: SILENT_LOGGER,
  });
  return { answer, changes };
}

test("the other process asks Bitbucket whether the caller administers the workspace", async () => {
  const own = await performing(["acme"]);
  expect(await own.answer({ workspace: "ACME", authorization: BASIC, action: "pause" })).toEqual({});
  expect(own.changes).toHaveLength(1);
  const refused = { problem: "Bitbucket does not say that you administer this workspace" };
  const others = await performing(["elsewhere"]);
  const refusing = await performing(new UpstreamError("refused", { retryable: false, status: 401 }));
  for (const { answer, changes } of [others, refusing]) {
    for (const request of [{ action: "pause" }, { action: "remove", form: "confirm=acme" }, {}])
      expect(await answer({ workspace: "acme", authorization: BASIC, ...request })).toEqual(refused);
    expect(changes).toEqual([]);
  }
  const away = await performing(new UpstreamError("no answer", { retryable: true, status: 503 }));
  expect(await away.answer({ workspace: "acme", authorization: BASIC, action: "pause" })).toEqual({
    problem: "no answer",
  });
});

test("it refuses what is no action of its release, and forms that are not valid", async () => {
  const { answer, changes } = await performing(["acme"]);
  const request = { workspace: "acme", authorization: BASIC };
  expect(await answer({ ...request, action: "explode" })).toEqual({
    problem: "this release has no such action",
  });
  expect(await answer({ ...request, action: "constructor" })).toMatchObject({ problem: expect.any(String) });
  expect(await answer({ ...request, action: "remove", form: "confirm=other" })).toEqual({
    problem: "to remove acme, enter its name: it is not served from then on",
  });
  await expect(answer({ workspace: "acme" })).rejects.toThrow();
  expect(changes).toEqual([]);
});

test("an answer of another form is none", async () => {
  const delegate = delegateOver(async () => ({ letters: "all" }));
  await expect(
    delegate.perform({ workspace: "acme", authorization: BASIC, action: "pause", form: "" }),
  ).rejects.toThrow("gave no valid answer");
  await expect(
    delegateOver(async () => ({ problem: "no" })).deadLetters({ workspace: "acme", authorization: BASIC }),
  ).rejects.toThrow(ConfigError);
});
