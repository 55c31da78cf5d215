/** Callers who hold what others need: places to read bodies in, turns to plan, memory of answers, time to parse. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fetchV2, lsRefs, type Received, send } from "./git-request.ts";
import type { LoadTarget, Shape } from "./load-target.ts";

const MAX_MS = 60_000;
const SHALLOW_LINES = 20_000;

/** Each caller is at an address of its own. */
const callerOf = (number: number) => ({
  caller: `caller-${number}`,
  address: `203.0.113.${number}`,
  maxMs: MAX_MS,
});

/** Refs, and a small and a large clone. */
function newcomer({ askAsNewcomer, ids }: LoadTarget): Promise<void> {
  const asked = [
    lsRefs("sample"),
    fetchV2("sample", [`want ${ids.sampleTip}`, "done"]),
    fetchV2("history", [`want ${ids.historyCommits[0]}`, "done"]),
  ];
  return askAsNewcomer(asked.map((request) => ({ ...request, maxMs: MAX_MS })));
}

/** Newcomers ask after some time, and again after as much. */
async function withNewcomers(
  mirror: LoadTarget,
  attack: readonly Promise<Received>[],
  afterMs: number,
): Promise<Received[]> {
  for (let count = 0; count < 2; count++) {
    await sleep(afterMs);
    await newcomer(mirror);
  }
  return Promise.all(attack);
}

const slowBodies = (mirror: LoadTarget) => {
  const [want = ""] = mirror.ids.historyCommits;
  const body = fetchV2("history", Array<string>(20_000).fill(`want ${want}`));
  const attack = Array.from({ length: 12 * 16 }, (_, n) =>
    send(mirror.port, { ...callerOf(n % 12), ...body, sentBytesPerSecond: 17_000, maxMs: 30_000 }),
  );
  return withNewcomers(mirror, attack, 5_000);
};

const longPlans = (mirror: LoadTarget) => {
  const { historyCommits: commits } = mirror.ids;
  const attack = Array.from({ length: 30 }, (_, n) => {
    const shallows = Array.from(
      { length: SHALLOW_LINES },
      (_, line) => `shallow ${commits[(line * 7 + n) % commits.length]}`,
    );
    const args = [`want ${commits[n]}`, ...shallows, `deepen ${9_000 + n}`, "done"];
    return send(mirror.port, { ...callerOf(n % 3), ...fetchV2("history", args) });
  });
  return withNewcomers(mirror, attack, 3_000);
};

const slowReaders = (mirror: LoadTarget) => {
  const { historyCommits: commits } = mirror.ids;
  const attack = Array.from({ length: 300 }, (_, n) =>
    send(mirror.port, {
      ...callerOf(n % 60),
      ...fetchV2("history", [`want ${commits[0]}`, `want ${commits[50 + n]}`, "done"]),
      readBytesPerSecond: [0, 1_000, 2_300][n % 3] ?? 0,
    }),
  );
  return withNewcomers(mirror, attack, 15_000);
};

const pipelined = async (mirror: LoadTarget) => {
  const requests = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3_000);
  const attack = Array.from({ length: 300 }, async (): Promise<Received> => {
    const startedMs = performance.now();
    const socket = connect(mirror.port, "127.0.0.1").on("error", () => undefined);
    socket.resume().write(requests);
    await new Promise((resolve) => socket.once("close", resolve));
    return { status: "cut", tookMs: performance.now() - startedMs };
  });
  return withNewcomers(mirror, attack, 0);
};

/** Nothing but honest callers: what the machine itself adds to the other figures. */
export const QUIET: Shape = { name: "quiet", run: (mirror) => withNewcomers(mirror, [], 2_500) };

export const SLOW_SHAPES: readonly Shape[] = [
  { name: "slow-bodies", run: slowBodies },
  { name: "long-plans", run: longPlans },
  { name: "slow-readers", run: slowReaders },
  { name: "pipelined", run: pipelined },
];
