/** What hostile and heavy callers send, bounded in count and time. */
import { createHmac, randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";
import { workspaceSecret } from "../../lib/webhook/signature.ts";
import { fetchV0, fetchV2, lsRefs, type Received, type SentRequest, send } from "./git-request.ts";
import type { LoadTarget, Shape } from "./load-target.ts";
import { FAILING_NAME, HANGING_NAME, WEBHOOK_SECRET } from "./loaded-mirror.ts";
import { QUIET, SLOW_SHAPES } from "./slow-callers.ts";

const MAX_MS = 30_000;
const NEGOTIATORS = 8;
const NEGOTIATED_PAIRS = 3_000;
const EQUAL_WANTS = 1_000_000;
const UNFINISHED_BYTES = 3_900_000;

const attacker = { caller: "attacker", maxMs: MAX_MS };
const randomId = (): string => randomBytes(20).toString("hex");
/** @returns `count` requests at once. */
const sendAll = (port: number, count: number, of: (number: number) => SentRequest): Promise<Received[]> =>
  Promise.all(Array.from({ length: count }, (_, number) => send(port, of(number))));
const newcomer = ({ askAsNewcomer }: LoadTarget, slug = "sample"): Promise<void> =>
  askAsNewcomer([{ ...lsRefs(slug), maxMs: MAX_MS }]);

async function negotiation({ port, ids }: LoadTarget): Promise<Received[]> {
  const { historyCommits: commits } = ids;
  const [tip = ""] = commits;
  const step = Math.floor(commits.length / NEGOTIATED_PAIRS);
  const haves = Array.from({ length: NEGOTIATED_PAIRS }, (_, n) => [
    commits[n * step] ?? tip,
    randomId(),
  ]).flat();
  const asked = [
    fetchV0("history", tip, haves),
    fetchV2("history", [`want ${tip}`, ...haves.map((id) => `have ${id}`)]),
  ];
  return sendAll(port, NEGOTIATORS, (n) => ({ ...attacker, ...(asked[n % 2] ?? lsRefs("history")) }));
}

async function sparsePatterns({ port, ids }: LoadTarget): Promise<Received[]> {
  const args = [`want ${ids.deepTip}`, `filter sparse:oid=${ids.sparsePatterns}`, "done"];
  return sendAll(port, 4, () => ({ ...attacker, ...fetchV2("deep", args) }));
}

async function deepenSince({ port, ids }: LoadTarget): Promise<Received[]> {
  const wants = ids.bulkTips.map((id) => `want ${id}`);
  const since = (n: number) => [...wants, `deepen-since ${1_700_000_000 + n * 60}`, "done"];
  const readers = sendAll(port, 12, (n) => ({
    ...fetchV2("bulk", since(n)),
    ...{ caller: `caller-${20 + n}`, readAfterMs: 2 * MAX_MS, maxMs: 10_000 },
  }));
  const received: Received[] = [];
  for (let n = 20; n < 60; n++)
    received.push(await send(port, { ...attacker, ...fetchV2("bulk", since(n)) }));
  return [...received, ...(await readers)];
}

async function equalWants({ port, ids }: LoadTarget): Promise<Received[]> {
  const want = encodePktLine(`want ${ids.historyCommits[0]}\n`);
  const wants = new Uint8Array(want.length * EQUAL_WANTS);
  for (let n = 0; n < EQUAL_WANTS; n++) wants.set(want, n * want.length);
  const head = [encodePktLine("command=fetch\n"), DELIM_PKT];
  const body = gzipSync(Buffer.concat([...head, wants, encodePktLine("done\n"), FLUSH_PKT]));
  const { path, headers } = fetchV2("history", []);
  const gzipped = { path, headers: { ...headers, "content-encoding": "gzip" }, body };
  return sendAll(port, 4, () => ({ ...attacker, ...gzipped }));
}

async function unfinishedUploads({ port, ids }: LoadTarget): Promise<Received[]> {
  const haves = Array.from({ length: UNFINISHED_BYTES / 50 }, () => `have ${randomId()}`);
  const { path, headers, body } = fetchV2("history", [`want ${ids.historyCommits[0]}`, ...haves]);
  const upload = {
    path,
    body: body ?? new Uint8Array(0),
    headers: { ...headers, "transfer-encoding": "chunked" },
  };
  return sendAll(port, 70, () => ({ ...attacker, ...upload, unfinished: true, maxMs: 15_000 }));
}

async function singleBranch({ port, ids }: LoadTarget): Promise<Received[]> {
  const fetchMain = fetchV2("history", [`want ${ids.historyCommits[0]}`, "done"]);
  return sendAll(port, 200, () => ({ ...attacker, ...fetchMain, maxMs: 2 * MAX_MS }));
}

async function fullClones({ port, ids }: LoadTarget): Promise<Received[]> {
  const args = [...new Set(ids.bulkTips.map((id) => `want ${id}`)), "done"];
  return sendAll(port, 50, (n) => ({
    ...fetchV2("bulk", args),
    ...{ caller: `caller-${n % 10}`, maxMs: 2 * MAX_MS, ...(n % 2 === 1 && { readAfterMs: 10_000 }) },
  }));
}

async function wrongTokens(mirror: LoadTarget): Promise<Received[]> {
  const wrong = { caller: "attacker", maxMs: MAX_MS };
  const oneToken = await sendAll(mirror.port, 1_000, (n) => ({
    ...{ ...wrong, ...lsRefs(`name-${n}`), token: "guess-secret-of-one" },
  }));
  const tokens = await sendAll(mirror.port, 20, (n) => ({
    ...{ ...wrong, ...lsRefs("sample"), token: `guess-secret-${n}` },
  }));
  await newcomer(mirror);
  return [...oneToken, ...tokens];
}

async function webhookReplay(mirror: LoadTarget): Promise<Received[]> {
  const uuid = await mirror.uuidOf("sample");
  const repository = { uuid, full_name: "acme/sample", is_private: true, project: { key: "CORE" } };
  const body = Buffer.from(JSON.stringify({ push: { changes: [] }, repository }));
  const secret = workspaceSecret(WEBHOOK_SECRET, "acme");
  const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  const keys = ["repo:push", "repo:updated", "repo:transfer", "repo:deleted"];
  const replayed = (n: number): SentRequest => ({
    ...{ path: "/-/webhooks/acme", body, maxMs: MAX_MS },
    headers: {
      ...{ "content-type": "application/json", "x-hub-signature": signature },
      ...{ "x-event-key": keys[n % keys.length] ?? "", "x-request-uuid": randomId() },
    },
  });
  return sendAll(mirror.port, 200, replayed);
}

async function primaryHangs(mirror: LoadTarget): Promise<Received[]> {
  const names = [HANGING_NAME, FAILING_NAME];
  const asked = sendAll(mirror.port, 40, (n) => ({
    ...attacker,
    ...lsRefs(`${names[n % 2]}-${n}`),
    ...(n % 4 > 1 && { token: "guess-secret-of-one" }),
  }));
  for (let n = 0; n < 5; n++) await newcomer(mirror);
  await newcomer(mirror, "history");
  return asked;
}

export const SHAPES: readonly Shape[] = [
  QUIET,
  { name: "negotiation", run: negotiation },
  { name: "sparse-patterns", run: sparsePatterns },
  { name: "deepen-since", run: deepenSince },
  { name: "equal-wants", run: equalWants },
  { name: "unfinished-uploads", run: unfinishedUploads },
  { name: "single-branch", run: singleBranch },
  { name: "full-clones", run: fullClones },
  { name: "wrong-tokens", run: wrongTokens },
  { name: "webhook-replay", run: webhookReplay },
  { name: "primary-hangs", run: primaryHangs },
  ...SLOW_SHAPES,
];
