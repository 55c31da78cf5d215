/** Runs some actors at once, one step at a time, and which one is next is chosen by chance: the same for the same seed. */
import { setImmediate as turn } from "node:timers/promises";
import type { Random } from "../differential/random.ts";

/** Waits until the scheduler lets the caller's next step happen. */
export type Step = () => Promise<void>;

interface Actor {
  readonly waiting: (() => void)[];
  isDone: boolean;
}

export class Scheduler {
  readonly #random: Random;
  readonly #afterStep: () => Promise<void>;
  stepCount = 0;

  /** @param afterStep - Called when what the step did can be seen. */
  constructor(random: Random, afterStep: () => Promise<void>) {
    this.#random = random;
    this.#afterStep = afterStep;
  }

  /** @throws What an actor throws, or `afterStep`. */
  async run(programs: readonly ((step: Step) => Promise<void>)[]): Promise<void> {
    const failures: unknown[] = [];
    const actors = programs.map((program) => {
      const actor: Actor = { waiting: [], isDone: false };
      const step = () => new Promise<void>((resolve) => actor.waiting.push(resolve));
      program(step)
        .catch((error: unknown) => failures.push(error))
        .finally(() => {
          actor.isDone = true;
        });
      return actor;
    });
    for (let left = actors; left.length > 0; left = left.filter(({ isDone }) => !isDone)) {
      // The actor first: whatever the others' files and threads are at does not change the choice.
      await this.#stepOf(this.#random.pick(left));
      if (failures.length > 0) throw failures[0];
    }
  }

  async #stepOf(actor: Actor): Promise<void> {
    while (actor.waiting.length === 0 && !actor.isDone) await turn();
    // What it starts together shall be there together.
    await turn();
    if (actor.isDone) return;
    const [release] = actor.waiting.splice(this.#random.below(actor.waiting.length), 1);
    release?.();
    this.stepCount += 1;
    await turn();
    await this.#afterStep();
  }
}
