/** The primary's git server where it is not well: each fault a typed error, and never a shorter list of refs. */
import { expect, test } from "vitest";
import { listRefs } from "../../../lib/bitbucket/list-refs.ts";
import { LimitExceededError, UpstreamError } from "../../../lib/errors.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { collect } from "../../support/byte-chunks.ts";
import {
  answerUnmeasured,
  ID,
  OTHER_ID,
  optionsAt,
  pkt,
  REFS,
  serve,
  servingLists,
  upstreamAt,
  V0_LIST,
  V2,
  V2_LIST,
} from "../../support/primary-server.ts";

test("refs, peeled tags and HEAD come in both protocols", async () => {
  const head = { ref: "refs/heads/main" };
  const v2 = upstreamAt(await serve(servingLists(V2, V2_LIST)));
  expect(await v2.listRefs()).toMatchObject({ protocol: 2, refs: REFS, head });
  const v0 = upstreamAt(await serve(servingLists(V0_LIST, pkt("ERR asked twice"))));
  expect(await v0.listRefs()).toEqual({ protocol: 0, refs: REFS, head });
});

test("names need not be UTF-8, in both protocols", async () => {
  const names = ["refs/heads/\xc3\xa0", "refs/heads/\xfe", "refs/heads/\xff"];
  const lines = names.map((name) => `${ID} ${name}`);
  const head = { ref: names[1] };
  const refs = names.map((name) => ({ name, id: ID }));
  const v2 = upstreamAt(await serve(servingLists(V2, pkt(`${ID} HEAD symref-target:${names[1]}`, ...lines))));
  expect(await v2.listRefs()).toMatchObject({ protocol: 2, refs, head });
  const capabilities = `side-band-64k symref=HEAD:${names[1]}`;
  const advertisement = Buffer.concat([
    pkt("# service=git-upload-pack"),
    pkt(`${ID} HEAD\0${capabilities}`, ...lines),
  ]);
  const v0 = upstreamAt(await serve(servingLists(advertisement, pkt())));
  expect(await v0.listRefs()).toEqual({ protocol: 0, refs, head });
});

test("every request asks for protocol 2, once", async () => {
  const asked: unknown[] = [];
  const serving = servingLists(V2, pkt());
  const url = await serve((request, response) => {
    asked.push(request.headers["git-protocol"]);
    serving(request, response);
  });
  const upstream = upstreamAt(url);
  await upstream.listRefs();
  await collect(upstream.fetchPack({ protocol: 2, wants: [parseObjectId(ID)], haves: [] })).catch(
    () => undefined,
  );
  // The advertisement, the refs, the pack.
  expect(asked).toEqual(["version=2", "version=2", "version=2"]);
});

test("a list cut anywhere is an error, although the connection ended in order", async () => {
  let cutAtBytes = 0;
  let target = V2;
  const url = await serve((request, response) => {
    const isGet = request.method === "GET";
    const whole = isGet ? (target === V2_LIST ? V2 : target) : V2_LIST;
    const body = whole === target ? whole.subarray(0, cutAtBytes) : whole;
    answerUnmeasured(response, isGet ? "advertisement" : "result", body);
  });
  for (target of [V2, V2_LIST, V0_LIST]) {
    for (cutAtBytes = 0; cutAtBytes < target.length; cutAtBytes += 1) {
      const outcome = await upstreamAt(url)
        .listRefs()
        .catch((error: unknown) => error);
      expect(outcome, `cut at ${cutAtBytes} of ${target.length}`).toBeInstanceOf(UpstreamError);
      expect(outcome).toMatchObject({ retryable: true });
    }
  }
});

test("an empty repository is no error in either protocol", async () => {
  const capabilities = `${"0".repeat(40)} capabilities^{}\0 side-band-64k agent=git/2`;
  for (const lines of [[], [capabilities]]) {
    const advertisement = Buffer.concat([pkt("# service=git-upload-pack"), pkt(...lines)]);
    const v0 = upstreamAt(await serve(servingLists(advertisement, pkt("ERR unknown command"))));
    expect(await v0.listRefs()).toMatchObject({ protocol: 0, refs: [] });
  }
  const v2 = upstreamAt(await serve(servingLists(V2, pkt())));
  expect(await v2.listRefs()).toMatchObject({ protocol: 2, refs: [], head: { ref: "refs/heads/main" } });
});

test("the branch of an unborn HEAD is asked for with the refs, where the server supports it", async () => {
  for (const [lsRefs, head] of [
    ["ls-refs=unborn", "refs/heads/trunk"],
    ["ls-refs", "refs/heads/main"],
  ] as const) {
    const commands: string[] = [];
    const url = await serve(async (request, response) => {
      const isGet = request.method === "GET";
      const command = Buffer.concat(await request.toArray()).toString();
      if (isGet) return answerUnmeasured(response, "advertisement", pkt("version 2", lsRefs));
      commands.push(command);
      const unborn = pkt("unborn HEAD symref-target:refs/heads/trunk", `${ID} refs/heads/other`);
      const list = command.includes("unborn") ? unborn : pkt(`${ID} refs/heads/other`);
      answerUnmeasured(response, "result", list);
    });
    expect(await upstreamAt(url).listRefs()).toMatchObject({
      ...{ protocol: 2, head: { ref: head } },
      refs: [{ name: "refs/heads/other", id: ID }],
    });
    expect(commands).toHaveLength(1);
  }
});

test.each([
  ["that a ref names as well stays one", "refs/tags/v1", { id: OTHER_ID, peeledId: ID }],
  ["that no ref names is peeled", undefined, { id: ID }],
])("an annotated tag at a detached HEAD %s, in both protocols", async (_, tagRef, head) => {
  const v2Tag = tagRef === undefined ? [] : [`${OTHER_ID} ${tagRef} peeled:${ID}`];
  const v2 = upstreamAt(await serve(servingLists(V2, pkt(`${OTHER_ID} HEAD peeled:${ID}`, ...v2Tag))));
  expect((await v2.listRefs()).head).toEqual(head);
  const v0Tag = tagRef === undefined ? [] : [`${OTHER_ID} ${tagRef}`, `${ID} ${tagRef}^{}`];
  const advertisement = pkt(`${OTHER_ID} HEAD\0 side-band-64k`, `${ID} HEAD^{}`, ...v0Tag);
  const v0 = upstreamAt(
    await serve(servingLists(Buffer.concat([pkt("# service=git-upload-pack"), advertisement]), pkt())),
  );
  expect((await v0.listRefs()).head).toEqual(head);
});

test("symbolic refs come with their targets, 200 of them; HEAD and bad targets are left out", async () => {
  const lines = Array.from({ length: 250 }, (_, i) => `${ID} refs/x/${i} symref-target:refs/heads/main`);
  const list = pkt(
    `${ID} HEAD symref-target:refs/heads/main`,
    `${ID} refs/a symref-target:refs/heads/..`,
    `${ID} refs/heads/main`,
    ...lines,
  );
  const { refs, symrefs = [] } = await upstreamAt(await serve(servingLists(V2, list))).listRefs();
  expect(refs).toHaveLength(252);
  expect(symrefs).toHaveLength(200);
  expect(symrefs.map(({ name }) => name)).toEqual(
    lines
      .map((_, i) => `refs/x/${i}`)
      .toSorted()
      .slice(0, 200),
  );
  expect(symrefs[0]).toEqual({ name: "refs/x/0", target: "refs/heads/main" });
});

test("another object format is a lasting error that names it, in both protocols", async () => {
  const id = "12".repeat(32);
  const expected = { code: "UNSUPPORTED", message: expect.stringContaining("sha256") };
  const v2 = servingLists(pkt("version 2", "ls-refs", "fetch", "object-format=sha256"), pkt(`${id} HEAD`));
  await expect(upstreamAt(await serve(v2)).listRefs()).rejects.toMatchObject(expected);
  const v0 = pkt(`${id} HEAD\0 side-band-64k object-format=sha256`, `${id} refs/heads/main`);
  const advertisement = Buffer.concat([pkt("# service=git-upload-pack"), v0]);
  const upstream = upstreamAt(await serve(servingLists(advertisement, pkt())));
  await expect(upstream.listRefs()).rejects.toMatchObject(expected);
  const sha1 = servingLists(pkt("version 2", "ls-refs", "object-format=sha1"), V2_LIST);
  expect(await upstreamAt(await serve(sha1)).listRefs()).toMatchObject({ refs: REFS });
});

test("every attribute of a list is kept: targets of symbolic refs and peeled ids", async () => {
  const list = pkt(
    `${OTHER_ID} HEAD peeled:${ID}`,
    `${ID} refs/remotes/origin/HEAD symref-target:refs/remotes/origin/\xe4`,
    `${OTHER_ID} refs/tags/v1 peeled:${ID}`,
  );
  const url = await serve(servingLists(V2, list));
  expect(await listRefs(optionsAt(url))).toEqual({
    protocol: 2,
    capabilities: ["agent=git/2", "ls-refs=unborn", "fetch=shallow"],
    repositoryUrl: `${url}/acme/site.git`,
    refs: [
      { ref: "HEAD", oid: OTHER_ID, peeled: ID },
      { ref: "refs/remotes/origin/HEAD", oid: ID, target: "refs/remotes/origin/\xe4" },
      { ref: "refs/tags/v1", oid: OTHER_ID, peeled: ID },
    ],
  });
});

test.each([
  ["an error line", pkt("ERR repository is being moved"), "the primary refused: repository is being moved"],
  ["an id that is none", pkt(`${ID}0 refs/heads/main`), "the primary's list of refs is broken"],
  ["a peeled id that is none", pkt(`${ID} refs/tags/a peeled:x`), "the primary's list of refs is broken"],
  ["a name that git refuses", pkt(`${ID} refs/heads/a..b`), "the primary's list of refs is broken"],
  ["text", Buffer.from("<html>Please log in"), "the primary's answer is not a git response"],
])("%s in place of refs is an error", async (_name, list, message) => {
  const upstream = upstreamAt(await serve(servingLists(V2, list)));
  await expect(upstream.listRefs()).rejects.toMatchObject({ code: "UPSTREAM", message });
});

test.each([
  [401, { code: "UPSTREAM", retryable: false, message: expect.stringContaining("credential") }],
  [403, { code: "UPSTREAM", retryable: false, message: expect.stringContaining("credential") }],
  [404, { code: "NOT_FOUND" }],
  [429, { code: "UPSTREAM", retryable: true, retryAfterSeconds: 30 }],
  [502, { code: "UPSTREAM", retryable: true, retryAfterSeconds: 30 }],
])("status %d", async (status, expected) => {
  const url = await serve((_request, response) => {
    response.writeHead(status, { "retry-after": "30" }).end("<html>");
  });
  await expect(upstreamAt(url).listRefs()).rejects.toMatchObject(expected);
  const pack = upstreamAt(url).fetchPack({ protocol: 2, wants: [parseObjectId(ID)], haves: [] });
  await expect(collect(pack)).rejects.toMatchObject(expected);
});

test("another content type is an error that a retry does not help, and frees the connection", async () => {
  let closedCount = 0;
  const url = await serve((_request, response) => {
    response.once("close", () => {
      closedCount += 1;
    });
    response.writeHead(200, { "content-type": "text/html" }).write("<html>".repeat(100));
  });
  await expect(upstreamAt(url).listRefs()).rejects.toMatchObject({ code: "UPSTREAM", retryable: false });
  await expect.poll(() => closedCount).toBe(1);
});

test("more refs than the limit is an error of its own", async () => {
  const url = await serve(servingLists(V2, V2_LIST));
  await expect(upstreamAt(url, { maxRefListBytes: V2.length + 10 }).listRefs()).rejects.toThrow(
    LimitExceededError,
  );
});

test("a primary that falls silent is given up, before its answer and within", async () => {
  const silent = await serve(() => undefined);
  const message = "the primary has fallen silent";
  await expect(upstreamAt(silent, { answerTimeoutMs: 50 }).listRefs()).rejects.toMatchObject({ message });
  const stalling = await serve((_request, response) => {
    response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" }).write("0008NAK\n");
  });
  const pack = upstreamAt(stalling, { idleTimeoutMs: 50 }).fetchPack({
    protocol: 0,
    wants: [parseObjectId(ID)],
    haves: [],
  });
  await expect(collect(pack)).rejects.toMatchObject({ message, retryable: true });
});

test("the caller's wish to end comes out as it is", async () => {
  const stop = new AbortController();
  const url = await serve(() => stop.abort(new Error("enough")));
  await expect(upstreamAt(url, {}, stop.signal).listRefs()).rejects.toThrow("enough");
});

test.each([
  "application/x-git-upload-pack-advertisement; charset=utf-8",
  "Application/X-Git-Upload-Pack-Advertisement",
  " application/x-git-upload-pack-advertisement ;x=y",
])("the content type %j is git's", async (contentType) => {
  const url = await serve((_request, response) => {
    response.writeHead(200, { "Content-Type": contentType }).end(V0_LIST);
  });
  expect((await upstreamAt(url).listRefs()).refs).toEqual(REFS);
});
