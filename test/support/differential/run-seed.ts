/** One seed: a primary that is pushed to, a mirror that follows it, and requests to both after each push. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { comparePacks, compareWords } from "./compare-answers.ts";
import { type FetchAnswer, parseFetchAnswer } from "./fetch-answer.ts";
import { encodeFetchCase, type FetchCase } from "./fetch-case.ts";
import { askGit } from "./git-server.ts";
import { GitShell } from "./git-shell.ts";
import { clocksLie, closure } from "./graph-walk.ts";
import { Random } from "./random.ts";
import { makeBareRepository, RandomPrimary } from "./random-pushes.ts";
import { type RequestSubject, randomFetch } from "./random-request.ts";
import { readObjectCount, receivePack } from "./received-pack.ts";
import { readOffer } from "./server-offer.ts";
import { TestedMirror } from "./tested-mirror.ts";

export interface Totals {
  requests: number;
  packs: number;
  gitObjects: number;
  mirrorObjects: number;
  gitBytes: number;
  mirrorBytes: number;
}

export interface Difference {
  readonly seed: number;
  readonly request: number;
  readonly what: readonly string[];
  readonly fetchCase: FetchCase;
}

export interface SeedOptions {
  /** A folder to be made; removed unless something differs. */
  readonly folder: string;
  readonly totals: Totals;
}

const REQUESTS_AFTER_PUSH = 2;
const REQUESTS_AT_END = 8;

export function newTotals(): Totals {
  return { requests: 0, packs: 0, gitObjects: 0, mirrorObjects: 0, gitBytes: 0, mirrorBytes: 0 };
}

export async function runSeed(seed: number, options: SeedOptions): Promise<Difference[]> {
  const { folder, totals } = options;
  const random = new Random(seed);
  const repository = join(folder, "primary.git");
  await makeBareRepository(repository);
  await using shell = new GitShell(folder);
  const primary = new RandomPrimary(random, shell, repository);
  const mirror = new TestedMirror(shell, repository);
  const tester = new RequestTester({ shell, repository, mirror, folder, totals });
  const commitCount = random.pick([5, 10, 20, 40, 80, 300]);
  const pushCount = random.between(1, 8);
  const differences: Difference[] = [];
  let requestCount = 0;
  for (let push = 1; push <= pushCount; push++) {
    await primary.push(Math.ceil((commitCount / pushCount) * random.pick([0.1, 1, 2])));
    const { graph, refList, commitIds } = primary;
    await mirror.sync(refList);
    const subject = {
      graph,
      refList,
      commitIds,
      reachable: reachableFrom(primary),
      clocksLie: clocksLie(
        graph,
        commitIds.map((id) => graph.numberOf(id)),
      ),
      offer: await readOffer(mirror),
    };
    const until = requestCount + (push === pushCount ? REQUESTS_AT_END : REQUESTS_AFTER_PUSH);
    for (; requestCount < until; requestCount++) {
      const fetchCase = randomFetch(new Random(seed, requestCount + 1), subject);
      const what = await tester.test(fetchCase, subject);
      if (what.length > 0) differences.push({ seed, request: requestCount, what, fetchCase });
    }
  }
  if (differences.length === 0) await rm(folder, { recursive: true, force: true });
  return differences;
}

function reachableFrom({ graph, refList: { head, refs } }: RandomPrimary): Set<number> {
  const ids = refs.map(({ id }) => id);
  if ("commitId" in head) ids.push(head.commitId);
  return closure(
    graph,
    ids.map((id) => graph.numberOf(id)),
  );
}

export interface RequestTesterOptions {
  readonly shell: GitShell;
  /** The primary's. */
  readonly repository: string;
  readonly mirror: TestedMirror;
  /** For files of a moment. */
  readonly folder: string;
  readonly totals: Totals;
}

export class RequestTester {
  readonly #options: RequestTesterOptions;
  #packCount = 0;

  constructor(options: RequestTesterOptions) {
    this.#options = options;
  }

  /** @returns What differs. */
  async test(fetchCase: FetchCase, subject: RequestSubject): Promise<string[]> {
    this.#options.totals.requests += 1;
    const [git, mirror] = await Promise.all([this.#askGit(fetchCase), this.#askMirror(fetchCase)]);
    const differences = compareWords(fetchCase, subject, git, mirror);
    if (differences.length > 0 || git.error !== undefined || mirror.error !== undefined) return differences;
    const isDone = { ...fetchCase, isDone: true };
    const gitAnswer = git.pack === undefined ? await this.#askGit(isDone) : git;
    const mirrorAnswer = mirror.pack === undefined ? await this.#askMirror(isDone) : mirror;
    if (gitAnswer.error !== undefined || mirrorAnswer.error !== undefined) {
      return compareWords(fetchCase, subject, gitAnswer, mirrorAnswer);
    }
    if (gitAnswer.pack === undefined || mirrorAnswer.pack === undefined) {
      const sent = (answer: FetchAnswer) => (answer.pack === undefined ? "nothing" : "a pack");
      return gitAnswer.pack === mirrorAnswer.pack
        ? []
        : [`after 'done': git sends ${sent(gitAnswer)}, mirror ${sent(mirrorAnswer)}`];
    }
    return this.#testPacks(fetchCase, subject, gitAnswer, gitAnswer.pack, mirrorAnswer.pack);
  }

  async #testPacks(
    fetchCase: FetchCase,
    subject: RequestSubject,
    { shallowInfo }: FetchAnswer,
    gitBytes: Uint8Array,
    mirrorBytes: Uint8Array,
  ): Promise<string[]> {
    const { shell, repository, folder, totals } = this.#options;
    const isThin = fetchCase.capabilities.has("thin-pack");
    const received = await Promise.allSettled([
      this.#readsGitPack(fetchCase)
        ? receivePack(gitBytes, { shell, repository, file: join(folder, "git"), isThin })
        : undefined,
      receivePack(mirrorBytes, { shell, repository, file: join(folder, "mirror"), isThin }),
    ]);
    const [gitResult, mirrorResult] = received;
    if (gitResult.status === "rejected") return [`git's pack: ${String(gitResult.reason)}`];
    if (mirrorResult.status === "rejected") return [`the mirror's pack: ${String(mirrorResult.reason)}`];
    const mirrorPack = mirrorResult.value;
    const gitObjectCount = readObjectCount(gitBytes);
    totals.packs += 1;
    totals.gitObjects += gitObjectCount;
    totals.mirrorObjects += mirrorPack.sentIds.length;
    totals.gitBytes += gitBytes.length;
    totals.mirrorBytes += mirrorBytes.length;
    const gitSentIds = gitResult.value?.sentIds;
    return comparePacks({ fetchCase, subject, shallowInfo, gitObjectCount, gitSentIds, mirrorPack });
  }

  /** What a client needs is known without git's pack, but for what passes a filter. So to look at some is enough. */
  #readsGitPack({ filter }: FetchCase): boolean {
    this.#packCount += 1;
    return filter !== undefined || this.#packCount % 3 === 0;
  }

  async #askGit(fetchCase: FetchCase): Promise<FetchAnswer> {
    const { shell, repository } = this.#options;
    const request = encodeFetchCase(fetchCase);
    const { stdout, stderr, exitCode } = await askGit(shell, repository, fetchCase.protocol, request);
    const answer = parseFetchAnswer(stdout, fetchCase);
    if (exitCode !== 0) answer.error ??= stderr.trim();
    return answer;
  }

  async #askMirror(fetchCase: FetchCase): Promise<FetchAnswer> {
    const { status, bytes, failures } = await this.#options.mirror.ask(
      fetchCase.protocol,
      encodeFetchCase(fetchCase),
    );
    if (status !== 200)
      return { ...parseFetchAnswer(new Uint8Array(0), fetchCase), error: Buffer.from(bytes).toString() };
    const answer = parseFetchAnswer(bytes, fetchCase);
    if (failures.length > 0) answer.error = `failure: ${JSON.stringify(failures)}`;
    return answer;
  }
}
