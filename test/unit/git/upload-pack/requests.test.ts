import { describe, expect, test } from "vitest";
import { LimitExceededError, ProtocolError } from "../../../../lib/errors.ts";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../../lib/git/pktline.ts";
import { DEFAULT_REQUEST_LIMITS } from "../../../../lib/git/upload-pack/fetch-request.ts";
import { readRequestV0 } from "../../../../lib/git/upload-pack/read-request-v0.ts";
import { readRequestV2 } from "../../../../lib/git/upload-pack/read-request-v2.ts";
import { chunksOf } from "../../../support/byte-chunks.ts";

const A = "a".repeat(40);
const B = "b".repeat(40);
const FLUSH = "0000";
const DELIM = "0001";

/** Lines as text; `0000` and `0001` stand for themselves. */
function bodyOf(lines: readonly string[]): Uint8Array {
  const special = new Map([
    [FLUSH, FLUSH_PKT],
    [DELIM, DELIM_PKT],
  ]);
  return Buffer.concat(lines.map((line) => special.get(line) ?? encodePktLine(`${line}\n`)));
}

const readV2 = (lines: readonly string[], limits = {}, handsOutUrls = true) => {
  const body = chunksOf(bodyOf(lines), [5, 50, 51]);
  return readRequestV2(body, { ...DEFAULT_REQUEST_LIMITS, ...limits }, { handsOutUrls });
};
const readV0 = (lines: readonly string[], limits = {}) =>
  readRequestV0(chunksOf(bodyOf(lines), [5, 50, 51]), { ...DEFAULT_REQUEST_LIMITS, ...limits });

const NO_FLAGS = {
  wantRefs: [],
  shallows: [],
  deepen: undefined,
  filter: undefined,
  thinPack: false,
  ofsDelta: false,
  noProgress: false,
  includeTag: false,
  sidebandAll: false,
  uriProtocols: [],
  waitForDone: false,
  isDone: false,
};

describe("version 2", () => {
  test("a fetch", async () => {
    const lines = ["command=fetch", "agent=git/2", "object-format=sha1", DELIM, "thin-pack", "include-tag"];
    const request = await readV2([...lines, `want ${A}`, `have ${B}`, `have ${A}`, "done", FLUSH]);
    const fetch = { ...NO_FLAGS, wants: [A], haves: [B, A], thinPack: true, includeTag: true, isDone: true };
    expect(request).toEqual({ command: "fetch", fetch });
  });

  test("a fetch of a part of the history", async () => {
    const lines = ["command=fetch", "server-option=x", "session-id=1", DELIM, "sideband-all"];
    const depth = ["deepen 3", "deepen-relative", `shallow ${A}`, `shallow ${B}`, "want-ref refs/heads/a"];
    expect(await readV2([...lines, ...depth, "filter tree:0", FLUSH])).toMatchObject({
      fetch: {
        wantRefs: ["refs/heads/a"],
        shallows: [A, B],
        deepen: { kind: "depth", depth: 3, isRelative: true },
        filter: { maxDepth: 0 },
        sidebandAll: true,
      },
    });
    const until = ["deepen-since 1700000000", "deepen-not main", "deepen-not v1"];
    expect(await readV2([...lines, ...until, FLUSH])).toMatchObject({
      fetch: { deepen: { kind: "revisions", sinceSeconds: 1_700_000_000, excluded: ["main", "v1"] } },
    });
  });

  test("a fetch by a client that takes packs from elsewhere", async () => {
    const request = await readV2(["command=fetch", DELIM, "packfile-uris https,http", `want ${A}`, FLUSH]);
    expect(request).toMatchObject({ fetch: { uriProtocols: ["https", "http"] } });
  });

  test("what is not advertised is not taken", async () => {
    const fetch = ["command=fetch", DELIM, "packfile-uris https", `want ${A}`, FLUSH];
    await expect(readV2(fetch, {}, false)).rejects.toThrow("unexpected line: 'packfile-uris https'");
    await expect(readV2(["command=bundle-uri", FLUSH], {}, false)).rejects.toThrow(
      "invalid command 'bundle-uri'",
    );
  });

  test("two lists of protocols are refused, as git refuses them", async () => {
    const lists = ["packfile-uris https", "packfile-uris http"];
    await expect(readV2(["command=fetch", DELIM, ...lists, FLUSH])).rejects.toThrow(
      "multiple packfile-uris lines forbidden",
    );
  });

  test("bundle-uri, whatever a later client may add", async () => {
    for (const rest of [[FLUSH], [DELIM, FLUSH], [DELIM, "from-the-future", FLUSH]]) {
      expect(await readV2(["command=bundle-uri", ...rest])).toEqual({ command: "bundle-uri" });
    }
  });

  test("object-info", async () => {
    const request = await readV2(["command=object-info", DELIM, "size", `oid ${A}`, FLUSH]);
    expect(request).toEqual({ command: "object-info", objectInfo: { size: true, ids: [A] } });
  });

  test("a fetch without arguments wants nothing", async () => {
    const fetch = { ...NO_FLAGS, wants: [], haves: [] };
    expect(await readV2(["command=fetch", FLUSH])).toEqual({ command: "fetch", fetch });
  });

  test("ls-refs", async () => {
    const lines = [
      "command=ls-refs",
      DELIM,
      "peel",
      "symrefs",
      "unborn",
      "ref-prefix refs/heads/",
      "ref-prefix HEAD",
    ];
    expect(await readV2([...lines, FLUSH])).toEqual({
      command: "ls-refs",
      lsRefs: { peel: true, symrefs: true, unborn: true, prefixes: ["refs/heads/", "HEAD"] },
    });
  });

  test("past the limit of prefixes, all refs are meant", async () => {
    const lines = ["command=ls-refs", DELIM, "ref-prefix a", "ref-prefix b", "ref-prefix c", FLUSH];
    expect(await readV2(lines, { maxRefPrefixes: 2 })).toMatchObject({ lsRefs: { prefixes: [] } });
    expect(await readV2(lines, { maxRefPrefixes: 3 })).toMatchObject({
      lsRefs: { prefixes: ["a", "b", "c"] },
    });
  });

  test.each([{ lines: [FLUSH] }, { lines: [] }])("$lines asks for nothing", async ({ lines }) => {
    expect(await readV2(lines)).toEqual({ command: "none" });
  });

  test.each([
    [["command=push", FLUSH], "invalid command 'push'"],
    [["command=fetch", "command=ls-refs", FLUSH], "more than one command"],
    [["agent=x", FLUSH], "no command requested"],
    [["agent=x", DELIM, "done", FLUSH], "no command requested"],
    [["server-options=x", "command=fetch", FLUSH], "unknown capability 'server-options=x'"],
    [["command=fetch", "object-format=sha256", FLUSH], "mismatched object format"],
    [["command=fetch", DELIM, "deepen -1", FLUSH], "Invalid deepen -1"],
    [["command=fetch", DELIM, "deepen 0", FLUSH], "Invalid deepen: deepen 0"],
    [["command=fetch", DELIM, "deepen-since yesterday", FLUSH], "Invalid deepen-since yesterday"],
    [["command=fetch", DELIM, "deepen 1", "deepen-not a", FLUSH], "cannot be used together"],
    [["command=fetch", DELIM, "shallow main", FLUSH], "expected an object id"],
    [["command=fetch", DELIM, "filter tree:1", "filter tree:2", FLUSH], "cannot be combined"],
    [["command=fetch", DELIM, "want-ref a", "want-ref a", FLUSH], "duplicate want-ref a"],
    [["command=object-info", DELIM, "sizes", FLUSH], "unexpected line"],
    [["command=fetch", DELIM, `want ${A}0`, FLUSH], "expected an object id"],
    [["command=fetch", DELIM, "want \u001b[31m", FLUSH], "expected an object id in 'want ?[31m'"],
    [["command=fetch", DELIM, `want ${A}`, DELIM, FLUSH], "expected flush"],
    [["command=fetch", DELIM, `want ${A}`], "expected flush"],
    [["command=fetch"], "ended before its flush"],
    [["command=ls-refs", DELIM, "want", FLUSH], "unexpected line"],
  ])("%j is refused", async (lines, message) => {
    const reading = readV2(lines);
    await expect(reading).rejects.toThrow(ProtocolError);
    await expect(reading).rejects.toThrow(message);
  });

  test.each([
    [{ maxWants: 1 }, "too many wants"],
    [{ maxHaves: 1 }, "too many haves"],
    [{ maxShallows: 0 }, "too many shallow lines"],
    [{ maxDeepenNots: 0 }, "too many deepen-not lines"],
    [{ maxLineBytes: 20 }, "line of the request is too long"],
    [{ maxBodyBytes: 100 }, "body is too large"],
  ])("the limit %j holds", async (limits, message) => {
    const lines = ["command=fetch", DELIM, `want ${A}`, `have ${A}`, `have ${B}`, `want ${B}`];
    lines.push(`shallow ${A}`, "deepen-not a", FLUSH);
    const reading = readV2(lines, limits);
    await expect(reading).rejects.toThrow(LimitExceededError);
    await expect(reading).rejects.toThrow(message);
  });
});

describe("version 0", () => {
  const flags = { ...NO_FLAGS, noDone: false, hasEndedEarly: false };

  test("a clone", async () => {
    const capabilities = "multi_ack_detailed no-done side-band-64k thin-pack ofs-delta agent=git/2";
    expect(await readV0([`want ${A} ${capabilities}`, `want ${B}`, FLUSH, "done"])).toEqual({
      ...flags,
      wants: [A, B],
      haves: [],
      isDone: true,
      multiAck: "detailed",
      noDone: true,
      sideband: "side-band-64k",
      thinPack: true,
      ofsDelta: true,
    });
  });

  test("a round of a negotiation, with few capabilities", async () => {
    expect(await readV0([`want ${A} multi_ack side-band`, FLUSH, `have ${B}`, FLUSH])).toEqual({
      ...flags,
      wants: [A],
      haves: [B],
      multiAck: "plain",
      sideband: "side-band",
    });
    const bare = await readV0([`want ${A}`, FLUSH, `have ${B}`, "done"]);
    expect(bare).toMatchObject({ multiAck: "none", sideband: "none", isDone: true });
  });

  test("a fetch of a part of the history", async () => {
    const lines = [`want ${A} filter deepen-relative`, `shallow ${B}`, "deepen 2", "filter blob:none", FLUSH];
    expect(await readV0(lines)).toMatchObject({
      shallows: [B],
      deepen: { kind: "depth", depth: 2, isRelative: true },
      filter: { maxBlobBytes: 0 },
      hasEndedEarly: true,
    });
    const until = [`want ${A}`, "deepen-since 17", "deepen-not refs/heads/a", FLUSH, "done"];
    expect(await readV0(until)).toMatchObject({
      deepen: { kind: "revisions", sinceSeconds: 17, excluded: ["refs/heads/a"] },
      isDone: true,
    });
  });

  test("wants alone, as a client sends that first asks what is shallow", async () => {
    expect(await readV0([`want ${A}`, FLUSH])).toMatchObject({ hasEndedEarly: true });
  });

  test.each([{ lines: [FLUSH] }, { lines: [] }])("$lines asks for nothing", async ({ lines }) => {
    expect(await readV0(lines)).toBeUndefined();
  });

  test.each([
    [["have x", FLUSH], "unexpected line"],
    [[`want ${A}`], "expected flush after the wants"],
    [[`want ${A}`, "deepen -1", FLUSH], "Invalid deepen -1"],
    [[`want ${A}`, `want ${B} thin-pack`, FLUSH], "unexpected line"],
    [[`want ${A} object-format=sha256`, FLUSH, "done"], "mismatched object format"],
    [[`want ${A}`, FLUSH, `have ${B}`], "expected flush after the haves"],
    [[`want ${A}`, FLUSH, "nonsense", FLUSH], "unexpected line"],
    [["want 123", FLUSH], "expected an object id"],
    [[`want ${A}`, "filter tree:0", FLUSH, "done"], "filtering capability not negotiated"],
    [[`want ${A}`, "shallow x", FLUSH, "done"], "expected an object id"],
  ])("%j is refused", async (lines, message) => {
    const reading = readV0(lines);
    await expect(reading).rejects.toThrow(ProtocolError);
    await expect(reading).rejects.toThrow(message);
  });

  test.each([
    [{ maxWants: 1 }, "too many wants"],
    [{ maxHaves: 1 }, "too many haves"],
  ])("the limit %j holds", async (limits, message) => {
    const reading = readV0([`want ${A}`, `want ${B}`, FLUSH, `have ${A}`, `have ${B}`, "done"], limits);
    await expect(reading).rejects.toThrow(LimitExceededError);
    await expect(reading).rejects.toThrow(message);
  });
});
