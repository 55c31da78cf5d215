/** What administrators do on the pages with accounts of the mirror: connect and reconnect. */
import { expect, test } from "vitest";
import { ConfigError, NotFoundError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { readAdminLog } from "../../../lib/mirror/admin-log.ts";
import { readMirrorConfig } from "../../../lib/mirror/config-store.ts";
import { adminRig, OLGA, OTHER, SAME_ORIGIN } from "../../support/admin-rig.ts";
import type { RigCaller } from "../../support/page-rig.ts";

const NO_SECRET = new ConfigError("NEARSIDE_SECRET_ACME is not set in the environment");
const REJECTED = new ConfigError("Bitbucket rejects the account");

test.each([NO_SECRET, REJECTED, new NotFoundError("Bitbucket: no such workspace")])(
  "reconnect checks the account first; what fails is logged as failed, changes nothing, and shows no secret's name: %s",
  async (error) => {
    const lines: unknown[][] = [];
    const { act, config, log } = await adminRig({
      tryAccount: () => Promise.reject(error),
      log: {
        ...SILENT_LOGGER,
        info: (...line) => void lines.push(["info", ...line]),
        warn: (...line) => void lines.push(["warn", ...line]),
      },
    });
    const refused = await act("reconnect", { credential: "acme" });
    expect(refused.status).toBe(409);
    const problem = expect.stringMatching(/^the mirror cannot use this account: there is no such secret, /);
    expect(refused.text).toContain("the mirror cannot use this account: there is no such secret, ");
    expect(refused.text).not.toContain(error.message);
    expect(await config()).toMatchObject({ credential: "bot" });
    const logged = { action: "reconnect", detail: "account acme" };
    expect(await log()).toMatchObject([logged, { ...logged, problem }]);
    // Nothing in the server's log says that it was done, and its operator sees why not.
    expect(lines).toMatchObject([
      ["warn", "admin:action", { workspace: "acme", ...logged, problem, cause: { message: error.message } }],
    ]);
  },
);

test("by the page a workspace gets the account it has, one of its name, or none: never one of others", async () => {
  const tried: unknown[] = [];
  const { act, clock, config, log } = await adminRig({
    workspaces: [
      { workspace: "acme", credential: "bot", projects: "all" },
      { workspace: "other", credential: "other-bot", projects: "all" },
    ],
    tryAccount: async ({ credential }) => void tried.push(credential),
  });
  const texts = new Set<string>();
  for (const credential of ["other-bot", "other", "environment", "relay/acme", "acme-2", "no-such"]) {
    clock.nowMs += 60_000;
    const { status, text } = await act("reconnect", { credential });
    expect([credential, status]).toEqual([credential, 400]);
    texts.add(/id="problem">([^<]*)</.exec(text)?.[1] ?? "");
  }
  expect([...texts]).toEqual([expect.stringContaining("nearside reconnect")]);
  expect({ tried, log: await log(), config: await config() }).toMatchObject({
    ...{ tried: [], log: [], config: { credential: "bot" } },
  });
  for (const credential of ["bot", "acme", ""])
    expect((await act("reconnect", { credential })).status).toBe(303);
  expect({ tried, config: await config() }).toEqual({
    tried: ["bot", "acme", undefined],
    config: expect.not.objectContaining({ credential: expect.anything() }),
  });
});

test("a name that means another workspace's secret in the environment is not one's own", async () => {
  const { act } = await adminRig({
    workspaces: [
      { workspace: "acme", projects: "all" },
      { workspace: "other", credential: "ACME", projects: "all" },
    ],
  });
  expect((await act("reconnect", { credential: "acme" })).status).toBe(400);
});

test("a workspace that is not mirrored is connected by its administrator, with the account of its name or none", async () => {
  const workspaces = [
    { workspace: "acme", credential: "bot", projects: "all" as const },
    { workspace: "held", projects: "all" as const },
  ];
  const tried: (string | undefined)[] = [];
  const caller = { ...OLGA, administers: ["acme", "second", "third", "held"] };
  const { send, sessionOf, configStore, log, store } = await adminRig({
    ...{ workspaces, callers: [caller, OTHER] },
    tryAccount: async ({ credential }) => {
      tried.push(credential);
      if (credential === "third") throw new ConfigError("NEARSIDE_SECRET_THIRD is not set");
    },
  });
  const headers = await sessionOf(caller);
  const overview = await send("/-/admin", { headers });
  expect(overview.text.match(/\/-\/admin\/\w+\/connect/g)).toEqual(
    ["second", "second", "third", "third"].map((name) => `/-/admin/${name}/connect`),
  );
  const connect = async (workspace: string, fields: Record<string, string>, by: RigCaller = caller) =>
    send(`/-/admin/${workspace}/connect`, {
      method: "POST",
      headers: { ...(await sessionOf(by)), ...SAME_ORIGIN },
      body: Buffer.from(new URLSearchParams(fields).toString()),
    });
  const connected = await connect("second", { credential: "second" });
  expect([connected.status, connected.headers["location"]]).toEqual([303, "/-/admin/second?done=connect"]);
  const config = async () => (await readMirrorConfig(configStore))?.workspaces ?? [];
  // Nothing is mirrored until it is selected.
  expect((await config()).at(-1)).toMatchObject({ workspace: "second", credential: "second", projects: [] });
  expect((await send("/-/admin/second", { headers })).status).toBe(200);
  expect((await readAdminLog(store, "second")).map(({ action }) => action)).toEqual(["connect"]);
  // Its account cannot be used; another's may not be; others' workspaces, and those that are there, are not found.
  expect((await connect("third", { credential: "third" })).text).toContain(
    "the mirror cannot use this account",
  );
  expect((await connect("third", { credential: "bot" })).status).toBe(400);
  expect((await connect("acme", { credential: "acme" })).text).toMatch(/acme is connected with .*bot/);
  expect((await connect("strangers", { credential: "" })).status).toBe(404);
  expect((await connect("second", {}, OTHER)).status).toBe(403);
  expect((await config()).map(({ workspace }) => workspace)).toEqual(["acme", "held", "second"]);
  expect((await connect("third", {})).status).toBe(303);
  expect((await config()).at(-1)).not.toHaveProperty("credential");
  expect(tried).toEqual(["second", "third", "acme", undefined]);
  expect(await log()).toMatchObject([
    { action: "connect" },
    { action: "connect", problem: expect.any(String) },
  ]);
});

test("where the page connects none, it names the command, and nothing is logged or asked", async () => {
  const tried: unknown[] = [];
  const { send, sessionOf, store } = await adminRig({
    canConnect: false,
    tryAccount: async (workspace) => void tried.push(workspace),
  });
  const headers = await sessionOf(OLGA);
  const overview = await send("/-/admin", { headers });
  expect(overview.text).toContain("nearside connect elsewhere");
  expect(overview.text).not.toContain("/connect");
  const body = Buffer.from("credential=elsewhere");
  const request = { method: "POST", headers: { ...headers, ...SAME_ORIGIN }, body } as const;
  const answer = await send("/-/admin/elsewhere/connect", request);
  expect([answer.status, answer.text]).toEqual([403, expect.stringContaining("nearside connect elsewhere")]);
  expect([tried, await readAdminLog(store, "elsewhere")]).toEqual([[], []]);
});

test("an administrator has Bitbucket asked with an account five times a minute", async () => {
  const tried: unknown[] = [];
  const { act, clock } = await adminRig({ tryAccount: async (workspace) => void tried.push(workspace) });
  const statuses: number[] = [];
  for (let count = 0; count < 7; count++)
    statuses.push((await act("reconnect", { credential: "bot" })).status);
  expect(statuses).toEqual([...Array(5).fill(303), 429, 429]);
  expect(tried).toHaveLength(5);
  // Other actions are not these.
  expect((await act("sync")).status).toBe(303);
  clock.nowMs += 60_000;
  expect((await act("reconnect", { credential: "bot" })).status).toBe(303);
});
