/** Sends one request to git and to the mirror, and takes what comes back as a client would. */
import { join } from "node:path";
import { inspect } from "node:util";
import { checkClient } from "./client-check.ts";
import { comparePacks, comparePreludes, compareWords } from "./compare-answers.ts";
import { type FetchAnswer, parseFetchAnswer } from "./fetch-answer.ts";
import { encodeFetchCase, type FetchCase } from "./fetch-case.ts";
import { askGit } from "./git-server.ts";
import type { GitShell } from "./git-shell.ts";
import type { RequestSubject } from "./random-request.ts";
import { readObjectCount, receivePack } from "./received-pack.ts";
import type { TestedMirror } from "./tested-mirror.ts";
import type { Totals } from "./totals.ts";

/** Both answers' conditions. */
export interface Exchange {
  readonly fetchCase: FetchCase;
  readonly subject: RequestSubject;
  /** What git answers is no measure; what the mirror answers must make sense by itself. */
  readonly isGuess: boolean;
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
  #clientCount = 0;

  constructor(options: RequestTesterOptions) {
    this.#options = options;
  }

  /** @returns What differs. */
  async test(fetchCase: FetchCase, subject: RequestSubject): Promise<string[]> {
    this.#options.totals.requests += 1;
    const exchange = { fetchCase, subject, isGuess: isGuess(fetchCase, subject) };
    const [git, mirror] = await Promise.all([this.#askGit(fetchCase), this.#askMirror(fetchCase)]);
    // A server may find out late that it cannot answer, and need not answer while it hopes for more haves.
    const [gitAnswer, mirrorAnswer] = await Promise.all([
      isOpen(git, fetchCase) ? this.#askGit({ ...fetchCase, isDone: true }) : git,
      isOpen(mirror, fetchCase) ? this.#askMirror({ ...fetchCase, isDone: true }) : mirror,
    ]);
    if (hasFailed(exchange, gitAnswer, mirrorAnswer)) return compareWords(exchange, gitAnswer, mirrorAnswer);
    const differences = compareWords(exchange, git, mirror);
    if (differences.length > 0) return differences;
    if (mirrorAnswer.pack === undefined) {
      return gitAnswer.pack === undefined ? [] : ["after 'done' the mirror sends no pack, but git does"];
    }
    if (gitAnswer.pack === undefined && !exchange.isGuess) {
      return ["after 'done' git sends no pack, but the mirror does"];
    }
    const preludeDifferences = exchange.isGuess ? [] : comparePreludes(gitAnswer, mirrorAnswer);
    if (preludeDifferences.length > 0) return preludeDifferences;
    if (mirrorAnswer.isFromRecent) this.#options.totals.recentPacks += 1;
    return this.#testPacks(exchange, mirrorAnswer.shallowInfo, gitAnswer.pack, mirrorAnswer.pack);
  }

  async #testPacks(
    { fetchCase, subject, isGuess }: Exchange,
    shallowInfo: readonly string[],
    gitBytes: Uint8Array | undefined,
    mirrorBytes: Uint8Array,
  ): Promise<string[]> {
    const { shell, repository, folder, totals } = this.#options;
    const options = { shell, repository, isThin: fetchCase.capabilities.has("thin-pack") };
    const readsGitPack = gitBytes !== undefined && !isGuess && this.#readsGitPack(fetchCase);
    const [gitResult, mirrorResult] = await Promise.allSettled([
      readsGitPack ? receivePack(gitBytes, { ...options, file: join(folder, "git") }) : undefined,
      receivePack(mirrorBytes, { ...options, file: join(folder, "mirror") }),
    ]);
    if (gitResult.status === "rejected") return [`git's pack: ${String(gitResult.reason)}`];
    if (mirrorResult.status === "rejected") return [`the mirror's pack: ${String(mirrorResult.reason)}`];
    const mirrorPack = mirrorResult.value;
    const gitObjectCount = gitBytes === undefined ? 0 : readObjectCount(gitBytes);
    totals.packs += 1;
    totals.gitObjects += gitObjectCount;
    totals.mirrorObjects += mirrorPack.sentIds.length;
    totals.gitBytes += gitBytes?.length ?? 0;
    totals.mirrorBytes += mirrorBytes.length;
    const gitSentIds = gitResult.value?.sentIds;
    const comparison = { fetchCase, subject, shallowInfo, gitObjectCount, gitSentIds, mirrorPack };
    const differences = comparePacks(comparison);
    if (differences.length > 0 || !this.#checksClient(fetchCase)) return differences;
    return checkClient(comparison, mirrorBytes, {
      shell,
      primary: repository,
      folder: join(folder, "client"),
    });
  }

  /** What a client needs is known without git's pack, but for what passes a filter. So to look at some is enough. */
  #readsGitPack({ filter }: FetchCase): boolean {
    this.#packCount += 1;
    return filter !== undefined || this.#packCount % 3 === 0;
  }

  /** The same is known without a real client; that this is so is looked at now and then. */
  #checksClient({ filter }: FetchCase): boolean {
    this.#clientCount += 1;
    return filter === undefined && this.#clientCount % 6 === 1;
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
    const { status, bytes, failures, isFromRecent } = await this.#options.mirror.ask(
      fetchCase.protocol,
      encodeFetchCase(fetchCase),
    );
    if (status !== 200)
      return { ...parseFetchAnswer(new Uint8Array(0), fetchCase), error: Buffer.from(bytes).toString() };
    const answer = { ...parseFetchAnswer(bytes, fetchCase), isFromRecent };
    if (failures.length > 0) throw new Error(`the mirror failed: ${inspect(failures)}`);
    return answer;
  }
}

/**
 * git looks for the end of a history, or for what is reachable, in the order of dates, and stops early where dates are wrong. And
 * it deepens a client's history below commits that no ref reaches any more, which the mirror must not.
 */
function isGuess(
  { deepening, shallows }: FetchCase,
  { clocksLie, graph, reachable }: RequestSubject,
): boolean {
  if (deepening === undefined) return false;
  const goesByDate = deepening.kind === "until" || deepening.isRelative;
  const isLost = (id: string) => graph.find(id) >= 0 && !reachable.has(graph.find(id));
  return (clocksLie && goesByDate) || shallows.some(isLost);
}

function hasFailed({ isGuess: guesses }: Exchange, git: FetchAnswer, mirror: FetchAnswer): boolean {
  return mirror.error !== undefined || (git.error !== undefined && !guesses);
}

function isOpen({ pack, error }: FetchAnswer, { isDone }: FetchCase): boolean {
  return pack === undefined && error === undefined && !isDone;
}
