/** Asks the primary as the mirror itself whether it answers at all. */
import type { AskPrimary, PrimaryAnswer, ProbePrimary, ReadQuestion } from "../auth/ports.ts";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";

/** A path of uuids that exist nowhere. */
export const NOWHERE = "{00000000-0000-0000-0000-000000000000}/{00000000-0000-0000-0000-000000000000}";

/** The primary answers it from its list of repositories alone, so a repository or an account in trouble proves no outage. */
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
    const answered = [...asked, CONTROL_QUESTION].map(async (question) => {
      const answer = await askPrimary(question, { retriesUnauthorized: async () => false, signal });
      if (!isAnswer(answer)) throw new Error(answer.kind === "undecided" ? answer.reason : answer.kind);
    });
    // The first answer is enough.
    return Promise.any(answered).then(
      () => true,
      () => false,
    );
  };
}

/** Any status below 500 is one. */
function isAnswer(answer: PrimaryAnswer): boolean {
  if (answer.kind !== "undecided" || answer.cause !== "unreachable") return true;
  return answer.status !== undefined && answer.status < 500;
}
