/** Asks the primary as the mirror itself whether it answers at all. */
import type { AskPrimary, ProbePrimary, ReadQuestion } from "../auth/ports.ts";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";

export interface ProbeOptions {
  readonly askPrimary: AskPrimary;
  /** Questions of the mirror's own accounts about a few mirrored repositories, different ones each time. */
  readonly questions: () => Promise<readonly ReadQuestion[]>;
  readonly log: Logger;
}

export function probePrimary({ askPrimary, questions, log }: ProbeOptions): ProbePrimary {
  return async (signal) => {
    let asked: readonly ReadQuestion[];
    try {
      asked = await questions();
    } catch (error) {
      log.error("auth:probe-failed", errorFields(error));
      return true;
    }
    if (asked.length === 0) return true;
    const answered = asked.map(async (question) => {
      const answer = await askPrimary(question, { retriesUnauthorized: async () => false, signal });
      if (answer.kind === "undecided" && answer.cause === "unreachable") throw new Error(answer.reason);
    });
    // The first answer is enough, so one repository that fails or hangs proves nothing.
    return Promise.any(answered).then(
      () => true,
      () => false,
    );
  };
}
