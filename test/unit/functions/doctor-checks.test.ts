/** The registry of doctor's checks, and what `--fix` does to a folder's store. */
import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkOf, commandOf, DOCTOR_CHECKS } from "../../../functions/cli/doctor/checks.ts";
import { describe, fail, ok, withCheck } from "../../../functions/cli/doctor/finding.ts";
import { fix } from "../../../functions/cli/doctor/fix.ts";
import { StoredMessages } from "../../../functions/local/stored-messages.ts";
import { markFailure } from "../../../lib/mirror/repository-state.ts";
import { parseSyncJob } from "../../../lib/mirror/sync-job.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "11111111-2222-4333-8444-555555555555";

test("what checks call themselves is in the registry", () => {
  const files = globSync("functions/cli/{doctor,doctor/check-{access,account,lfs,mirror,store,webhooks}}.ts");
  const names = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/(?:const check|const name|prefix) = [`"]([^`"]+)[`"]/g)].map(
      ([, name = ""]) => name.replaceAll(/\$\{[^}]*\}/g, "acme"),
    ),
  );
  expect(names.length).toBeGreaterThan(10);
  expect(
    names.filter(
      (name) =>
        !["acme", "acme/acme"].includes(name) &&
        !/^acme (at|in|link)/.test(name) &&
        checkOf(name) === undefined,
    ),
  ).toEqual([]);
});

test.each([
  ["acme: REST", "REST", "nearside reconnect acme --credential <name>"],
  ["acme: LFS at Bitbucket", "LFS", "nearside verify --lfs acme"],
  ["acme: access", "access", "nearside status --failed acme"],
  ["git: REST", "REST", "nearside reconnect git --credential <name>"],
  ["mirror: serves git", "mirror", DOCTOR_CHECKS.mirror.command],
  ["store: write", "store", DOCTOR_CHECKS.store.command],
  ["dead letters", "dead letters", "nearside dead-letters replay"],
  ["dead letter queue", "dead letter queue", DOCTOR_CHECKS["dead letter queue"].command],
  ["relay 1a2b: secret", "relay", DOCTOR_CHECKS.relay.command],
  ["config.json", "config.json", "nearside config check"],
])("%s is the check %s, mended by %s", (name, id, command) => {
  expect([checkOf(name), commandOf(name)]).toEqual([id, command]);
});

test("a failure is followed by what to do and the command; JSON has both, with title and cause", () => {
  const failure = fail("acme: rounds", "never", "Is it running?");
  expect(describe(failure)).toBe("FAIL acme: rounds: never\n     Is it running?\n       nearside sync acme");
  expect(withCheck(failure)).toMatchObject({ id: "rounds", command: "nearside sync acme" });
  expect(withCheck(ok("acme: rounds", "fine"))).not.toHaveProperty("command");
});

test("--fix queues failed syncs and dead letters for the mirror, and touches nothing else", async () => {
  const store = new MemoryBlobStore();
  const sync = new StoredMessages(store, "sync");
  await markFailure(store, "acme", UUID, true);
  const options = { store, isLocal: true };
  expect(await fix(fail("acme: repositories", "", ""), options)).toBe("1 sync queued for the mirror");
  const [waiting] = await sync.list("waiting", 10);
  expect(parseSyncJob(waiting?.message.body ?? "")).toMatchObject({ uuid: UUID, reason: "asked" });
  await sync.put("dead", { groupId: "g", dedupId: "d", body: "a job" });
  expect(await fix(fail("dead letters", "", ""), options)).toBe("1 dead letter queued again");
  expect(await sync.count("dead")).toBe(0);
  for (const name of ["acme: REST", "store: write", "config.json", "dead letter queue", "relay x: secret"])
    expect(await fix(fail(name, "", ""), options)).toBeUndefined();
  expect(await fix(fail("acme: repositories", "", ""), { store, isLocal: false })).toBeUndefined();
});
