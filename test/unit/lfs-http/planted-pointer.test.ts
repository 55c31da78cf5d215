/** A pointer proves nothing: strangers write pointers to files of repositories that they cannot read. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { compactRepository } from "../../../lib/repo/compaction/compact-repository.ts";
import { lfsFileKey, repositoryKeys } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import { utf8 } from "../../support/byte-chunks.ts";
import { EAGER } from "../../support/compaction-policies.ts";
import { type LfsRig, startLfsRig } from "../../support/lfs/lfs-rig.ts";
import { writeName } from "../../support/named-repository.ts";
import { keysOf, RIG_UUID } from "../../support/sync-rig.ts";

/** Of another repository, whose readers the stranger is not among. */
const secret = randomBytes(4_000);
const oid = createHash("sha256").update(secret).digest("hex");
const OTHER_UUID = "89abcdef-0123-4567-89ab-cdef01234567";
let rig: LfsRig;

beforeAll(async () => {
  rig = await startLfsRig();
  await rig.copier.addFile("first.bin", randomBytes(10));
  await rig.copier.run("all");
});

afterAll(() => rig.close());

/** As it was at each step, also after a restart. */
async function expectRefused(): Promise<void> {
  for (let times = 0; times < 2; times++) {
    const { status, json } = await rig.download([{ oid, size: secret.length }]);
    expect(status).toBe(200);
    expect(json.objects).toEqual([
      { oid, size: secret.length, error: { code: 404, message: expect.any(String) } },
    ]);
    rig.restart();
  }
  expect(rig.queued).toEqual([]);
}

test("it is refused without the file, with it, after a compaction, and after the file is gone", async () => {
  await expectRefused();
  await rig.copier.addFile("planted.bin", secret, { isMissing: true });
  await rig.copier.run("all");
  await expectRefused();

  await rig.store.write(lfsFileKey(oid), secret);
  await expectRefused();
  const queue = {
    send: async (sent: readonly { groupId: string; dedupId: string; body: string }[]) =>
      void rig.copier.messages.push(...sent),
  };
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, [{ oid, sizeBytes: secret.length }]);
  await rig.copier.runJobs();
  expect(await rig.copier.record(oid)).toMatchObject({ state: LFS_STATE.missing });
  await expectRefused();

  for (let i = 0; i < 6; i++) {
    await rig.copier.addFile(`${i}.bin`, randomBytes(100 + i));
    await rig.copier.run("all");
  }
  await compactRepository(RIG_UUID, { store: rig.store, policy: EAGER });
  await rig.copier.run("all");
  await expectRefused();

  await rig.store.delete(lfsFileKey(oid));
  await expectRefused();
});

test("another repository's right is not the stranger's, neither while it is there nor after it was removed", async () => {
  const { store, copier } = rig;
  const { prefix } = repositoryKeys(RIG_UUID);
  const other = repositoryKeys(OTHER_UUID).prefix;
  for (const key of await keysOf(store, prefix)) {
    const { bytes } = await store.read(key);
    await store.write(other + key.slice(prefix.length), bytes);
  }
  await writeName(store, "acme", "other", OTHER_UUID);
  await store.write(lfsFileKey(oid), secret);
  const seconds = Math.floor(Date.now() / 1000);
  await new StoredLfsRights(store, OTHER_UUID).add([
    { oid, sizeBytes: secret.length, state: LFS_STATE.stored, tries: 0, seconds },
  ]);
  const linkOfOther = async () => {
    const body = utf8(JSON.stringify({ operation: "download", objects: [{ oid, size: secret.length }] }));
    const { json } = await rig.ask("/acme/other.git/info/lfs/objects/batch", { method: "POST", body });
    return json.objects?.[0]?.actions?.download?.href;
  };
  rig.restart();
  expect(await linkOfOther()).toContain("/~blobs/");
  await expectRefused();
  await copier.run("all");
  await expectRefused();

  for (const key of await keysOf(store, other)) await store.delete(key);
  rig.restart();
  expect(await linkOfOther()).toBeUndefined();
  await expectRefused();
  await copier.run("all");
  await expectRefused();
});

test("a right ends with the last pointer", async () => {
  const own = await rig.copier.addFile("own.bin", randomBytes(50));
  await rig.copier.run("all");
  const kindOf = async () => {
    const { json } = await rig.download([{ oid: own, size: 50 }]);
    return json.objects?.[0]?.actions?.download?.href.includes("/~blobs/") ?? false;
  };
  expect(await kindOf()).toBe(true);
  await rig.primary.git("update-ref", "refs/heads/main", "main~1");
  await rig.copier.run("all");
  await compactRepository(RIG_UUID, { store: rig.store, policy: EAGER });
  await rig.copier.run("all");
  expect(await kindOf()).toBe(false);
});
