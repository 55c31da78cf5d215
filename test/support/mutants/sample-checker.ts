/** A plugin for Stryker that lets a sample of the mutants pass, and reports the others as errors, which do not count. */
import { createHash } from "node:crypto";
import { type Checker, type CheckResult, CheckStatus } from "@stryker-mutator/api/check";
import type { Mutant } from "@stryker-mutator/api/core";
import { declareClassPlugin, PluginKind } from "@stryker-mutator/api/plugin";

/** Names an environment variable: the number of mutants, `:` and any text; another text makes another choice. */
export const SAMPLE_VARIABLE = "NEARSIDE_MUTANT_SAMPLE";

class SampleChecker implements Checker {
  static readonly inject = [] as const;
  #chosen = new Set<string>();

  async init(): Promise<void> {}

  /** Called once, with all mutants. */
  async group(mutants: Mutant[]): Promise<string[][]> {
    const [count, seed] = process.env[SAMPLE_VARIABLE]?.split(":") ?? [];
    const rank = ({ fileName, location, replacement }: Mutant) =>
      createHash("sha1")
        .update(JSON.stringify([seed, fileName, location, replacement]))
        .digest("hex");
    const ranked = mutants.map((mutant) => ({ id: mutant.id, rank: rank(mutant) }));
    ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1));
    this.#chosen = new Set(ranked.slice(0, Number(count)).map(({ id }) => id));
    return mutants.length === 0 ? [] : [mutants.map(({ id }) => id)];
  }

  async check(mutants: Mutant[]): Promise<Record<string, CheckResult>> {
    return Object.fromEntries(mutants.map(({ id }) => [id, this.#result(id)]));
  }

  #result(id: string): CheckResult {
    if (this.#chosen.has(id)) return { status: CheckStatus.Passed };
    return { status: CheckStatus.CompileError, reason: "not in the sample" };
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.Checker, "sample", SampleChecker)];
