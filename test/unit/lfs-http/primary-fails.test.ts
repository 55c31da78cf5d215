/** Batches of downloads while the primary fails, limits the caller's rate, or leaves files out of its answer. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { QUESTIONS_A_MINUTE } from "../../../lib/lfs-http/primary-questions.ts";
import { codesOf, LFS_TYPE } from "../../support/lfs/lfs-rig.ts";
import { useLfsRig } from "../../support/shared-set-ups.ts";

/** Copied, and at the primary only. */
let stored: string;
let atPrimary: string;

const rig = useLfsRig(async ({ copier }) => {
  atPrimary = await copier.addFile("a.bin", randomBytes(500));
  stored = await copier.addFile("a.bin", randomBytes(700));
});

const lfs = () => rig.primary.fake.lfs;

const both = () => [
  { oid: stored, size: 700 },
  { oid: atPrimary, size: 500 },
];

test.each([
  [500, 503],
  [503, 503],
  [401, 403],
  [403, 403],
  [404, 404],
])("with %i: what is stored is linked, the rest is %i", async (batchStatus, code) => {
  lfs().misbehave({ batchStatus });
  const answer = await rig.download(both());
  expect([answer.status, ...(codesOf(answer) ?? [])]).toEqual([200, "link", code]);
});

test("a limited rate is waited for", async () => {
  lfs().misbehave({ batchStatus: 429, batchRetryAfterSeconds: 7 });
  const answer = await rig.download(both());
  expect([answer.status, answer.headers["retry-after"], answer.headers["content-type"]]).toEqual([
    429,
    "7",
    LFS_TYPE,
  ]);
});

test.each([500, 429, 403])(
  "with %i for the first hundred of a thousand, it is not asked again",
  async (status) => {
    lfs().misbehave({ batchStatus: status, batchRetryAfterSeconds: 900 });
    const many = Array.from({ length: 999 }, (_, i) => ({
      oid: i.toString(16).padStart(64, "0"),
      size: 1,
    }));
    const answer = await rig.download([{ oid: stored, size: 700 }, ...many]);
    expect(lfs().batches).toHaveLength(1);
    const code = status === 500 ? 503 : status;
    expect(codesOf(answer)).toEqual(["link", ...many.map(() => code)]);
  },
);

test.each([60, 61])("one of %i s is waited for only if that is a minute at most", async (seconds) => {
  lfs().misbehave({ batchStatus: 429, batchRetryAfterSeconds: seconds });
  const answers = [await rig.download(both()), await rig.download([{ oid: atPrimary, size: 500 }])];
  const found = answers.map((answer) => [answer.status, codesOf(answer)]);
  if (seconds === 60) {
    expect(found).toEqual([
      [429, undefined],
      [429, undefined],
    ]);
    expect(answers[0]?.headers["retry-after"]).toBe("60");
  } else
    expect(found).toEqual([
      [200, ["link", 429]],
      [200, [429]],
    ]);
});

test("an object that the primary leaves out of its answer is 503, and nothing is copied", async () => {
  lfs().misbehave({ leftOut: [atPrimary] });
  expect(codesOf(await rig.download(both()))).toEqual(["link", 503]);
  expect(rig.queued).toEqual([]);
});

test("each oid is answered once, with the primary's own error", async () => {
  lfs().misbehave({ objectErrors: { [atPrimary]: { code: 410, message: "Gone" } } });
  const { json } = await rig.download([...both(), ...both()]);
  expect(json.objects?.map(({ oid }) => oid)).toEqual([stored, atPrimary]);
  expect(json.objects?.[1]?.error).toEqual({ code: 410, message: "Gone" });
});

test("files that the mirror does not have are asked for so often a minute; what is stored is linked beyond that", async () => {
  const unknown = (from: number) =>
    Array.from({ length: 1_000 }, (_, i) => ({ oid: (from + i).toString(16).padStart(64, "0"), size: 1 }));
  const questionsOfEach = 10;
  for (let asked = 0; asked < QUESTIONS_A_MINUTE; asked += questionsOfEach)
    expect((await rig.download(unknown(1_000 * asked))).status).toBe(200);
  const questionCount = lfs().batches.length;
  const limited = await rig.download(unknown(1));
  expect([limited.status, limited.json.message]).toEqual([429, expect.stringContaining("not mirrored yet")]);
  expect(Number(limited.headers["retry-after"])).toBeGreaterThan(0);
  const linked = await rig.download([{ oid: stored, size: 700 }]);
  expect([lfs().batches.length, codesOf(linked)]).toEqual([questionCount, ["link"]]);
});

test("the same question of many requests is asked once", async () => {
  lfs().misbehave({ batchDelayMs: 500 });
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => rig.download([{ oid: atPrimary, size: 500 }])),
  );
  expect([lfs().batches.length, answers.map(codesOf)]).toEqual([1, answers.map(() => ["link"])]);
});
