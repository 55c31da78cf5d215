/** Work slices that count: how much was done, and how long others had to wait. */
import { TurnOwner, WorkSlices } from "../../lib/git/work-slices.ts";

const TURN_STEPS = 10_000;

export class CountedSlices extends WorkSlices {
  /** All work so far. */
  steps = 0;
  /** The most work between two turns of others. */
  longestBlockSteps = 0;
  turns = 0;
  #sinceTurn = 0;

  /** @param onTurn - Called with the number of turns so far. */
  constructor(signal?: AbortSignal, onTurn: (turns: number) => void = () => undefined) {
    super({
      signal,
      turns: {
        ownerOf: (name) => new TurnOwner(name),
        spend: (steps) => {
          this.steps += steps;
          this.#sinceTurn += steps;
          this.longestBlockSteps = Math.max(this.longestBlockSteps, this.#sinceTurn);
          return this.#sinceTurn >= TURN_STEPS;
        },
        next: async () => {
          this.#sinceTurn = 0;
          this.turns += 1;
          onTurn(this.turns);
        },
      },
    });
  }
}
