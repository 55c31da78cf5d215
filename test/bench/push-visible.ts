/**
 * Row `push-visible`: from the moment when Bitbucket sends a push event until a client that lists the mirror's refs gets it. What
 * the primary takes meanwhile, to answer the mirror's questions, is taken out: here it is a stand-in on the same machine.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { RequestRecord } from "../support/fake-bitbucket/controls.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { startLocalMirror } from "./local-mirror.ts";
import type { LatencyReport, StandaloneRun } from "./row.ts";
import type { Workspace } from "./workspace.ts";

const PLACE = { workspace: "acme", slug: "sample" };
const BRANCH = "refs/heads/main";
const SAMPLE_COMMIT_COUNT = 1000;
/** Without warmed-up code the first ones say how fast Node starts. */
const WARM_UP_PUSHES = 10;
/** More than any sync takes: then something is broken. */
const MAX_WAIT_MS = 60_000;

const PUSHES = 500;
const SMOKE_PUSHES = 5;

export async function measurePushVisible(
  workspace: Workspace,
  { isSmoke }: StandaloneRun,
): Promise<LatencyReport> {
  const pushes = isSmoke ? SMOKE_PUSHES : PUSHES;
  const folder = await workspace.newFolder("push-visible");
  const repository = join(folder, "primary/acme/sample.git");
  await mkdir(join(folder, "primary/acme"), { recursive: true });
  await makeSampleRepository(repository, { commitCount: SAMPLE_COMMIT_COUNT });
  const fake = await startFakeBitbucket({ repositoriesFolder: join(folder, "primary") });
  try {
    const mirrorUrl = await startLocalMirror(workspace, fake, join(folder, "store"), "acme/sample");
    const visible: number[] = [];
    const withPrimary: number[] = [];
    for (let push = 1 - WARM_UP_PUSHES; push <= pushes; push++) {
      const id = await pushCommit(workspace, repository, push);
      const { ms, primaryMs } = await timeUntilVisible(fake, mirrorUrl, id);
      if (push < 1) continue;
      visible.push(ms - primaryMs);
      withPrimary.push(ms);
      if (push % 50 === 0) workspace.progress(`push-visible: ${push} of ${pushes} pushes`);
    }
    return {
      name: "push-visible",
      times: pushes,
      unit: "pushes",
      p50Ms: percentile(visible, 0.5),
      p99Ms: percentile(visible, 0.99),
      withPrimary: { p50Ms: percentile(withPrimary, 0.5), p99Ms: percentile(withPrimary, 0.99) },
    };
  } finally {
    await fake.close();
  }
}

async function pushCommit(workspace: Workspace, repository: string, number: number): Promise<string> {
  const blob = await workspace.git(["hash-object", "-w", "--stdin"], {
    cwd: repository,
    input: `push ${number}\n`.repeat(100),
  });
  const tree = await workspace.git(["mktree"], {
    cwd: repository,
    input:
      `100644 blob ${blob}\tpushed-${number % 10}.txt\n${await workspace.git(["ls-tree", BRANCH], { cwd: repository })}\n`
        .split("\n")
        .filter((line, i, all) => line !== "" && all.findIndex((one) => nameIn(one) === nameIn(line)) === i)
        .join("\n"),
  });
  const args = ["commit-tree", tree, "-p", BRANCH, "-m", `push ${number}`];
  const id = await workspace.git(args, { cwd: repository });
  await workspace.git(["update-ref", BRANCH, id], { cwd: repository });
  return id;
}

function nameIn(line: string): string | undefined {
  return line.split("\t")[1];
}

async function timeUntilVisible(
  { controls, lifecycle }: FakeBitbucket,
  mirrorUrl: string,
  id: string,
): Promise<{ readonly ms: number; readonly primaryMs: number }> {
  controls.clearRequests();
  const deliveries = controls.deliveries.length;
  await lifecycle.pushed(PLACE);
  const delivery = controls.deliveries[deliveries];
  if (delivery?.status !== 202) throw new Error(`the mirror took no webhook: ${delivery?.status}`);
  const giveUpAtMs = performance.now() + MAX_WAIT_MS;
  while (!(await listRef(mirrorUrl)).includes(id)) {
    if (performance.now() > giveUpAtMs) throw new Error(`a push was not visible within ${MAX_WAIT_MS} ms`);
  }
  const visibleAtMs = performance.now();
  const primaryMs = busyMs(controls.requests, delivery.sentAtMs, visibleAtMs);
  await controls.settled();
  return { ms: visibleAtMs - delivery.sentAtMs, primaryMs };
}

/** As git asks for one branch. A mirror that knows of a push answers when it has it. */
async function listRef(mirrorUrl: string): Promise<string> {
  const prefix = `ref-prefix ${BRANCH}\n`;
  const lines = [
    "0014command=ls-refs\n",
    "0001",
    `${(prefix.length + 4).toString(16).padStart(4, "0")}${prefix}`,
    "0000",
  ];
  const response = await fetch(`${mirrorUrl}/${PLACE.workspace}/${PLACE.slug}.git/git-upload-pack`, {
    method: "POST",
    headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
    body: lines.join(""),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`the mirror answered ${response.status}: ${text}`);
  return text;
}

/** How long at least one request was with the primary. */
function busyMs(
  requests: readonly Pick<RequestRecord, "startedAtMs" | "endedAtMs">[],
  fromMs: number,
  toMs: number,
): number {
  const spans = requests
    .map(
      ({ startedAtMs, endedAtMs = toMs }) =>
        [Math.max(fromMs, startedAtMs), Math.min(toMs, endedAtMs)] as const,
    )
    .filter(([start, end]) => end > start)
    .sort(([a], [b]) => a - b);
  let busy = 0;
  let until = fromMs;
  for (const [start, end] of spans) {
    busy += Math.max(0, end - Math.max(start, until));
    until = Math.max(until, end);
  }
  return busy;
}

/** The smallest value that so large a share of all does not exceed. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
