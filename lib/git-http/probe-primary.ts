/** Asks the primary as the mirror itself whether it answers at all. */
import type { AskPrimary, PrimaryAnswer, ProbePrimary, ReadQuestion } from "../auth/ports.ts";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";

/** A path of uuids that exist nowhere. */
export const NOWHERE = "{00000000-0000-0000-0000-000000000000}/{00000000-0000-0000-0000-000000000000}";

/**
 * The primary answers it from its list of repositories alone. It is asked only if a single repository can be: that one may be in
 * trouble alone. Several that fail are an outage of git, whatever the rest of the primary answers.
 */
const CONTROL_QUESTION: ReadQuestion = { authorization: undefined, repositoryPath: NOWHERE };

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
    const answersAny = (questions: readonly ReadQuestion[]) => {
      const answered = questions.map(async (question) => {
        const answer = await askPrimary(question, { retriesUnauthorized: async () => false, signal });
        if (!isAnswer(answer)) throw new Error(answer.kind === "undecided" ? answer.reason : answer.kind);
      });
      // The first answer is enough.
      return Promise.any(answered).then(
        () => true,
        () => false,
      );
    };
    if (asked.length === 1) return answersAny([...asked, CONTROL_QUESTION]);
    return (await answersAny(asked)) || (!signal.aborted && answersAny(asked));
  };
}

/** Any status below 500 is one. */
function isAnswer(answer: PrimaryAnswer): boolean {
  if (answer.kind !== "undecided" || answer.cause !== "unreachable") return true;
  return answer.status !== undefined && answer.status < 500;
}
