/** The mirror's own questions, by which an outage is judged. */
import { expect, test } from "vitest";
import type { PrimaryAnswer, ReadQuestion } from "../../../lib/auth/ports.ts";
import { NOWHERE, probePrimary } from "../../../lib/git-http/probe-primary.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";

const OWN: ReadQuestion = { authorization: "Basic b3du", repositoryPath: "acme/site" };
const AWAY: PrimaryAnswer = { kind: "undecided", cause: "unreachable", reason: "away" };
const withStatus = (status: number): PrimaryAnswer => ({ ...AWAY, status });
const SIGNAL = new AbortController().signal;

/** @returns Whether the primary counts as up, and what it was asked. */
async function probe(own: PrimaryAnswer, control: PrimaryAnswer, questions = async () => [OWN]) {
  const asked: ReadQuestion[] = [];
  const isUp = await probePrimary({
    askPrimary: async (question) => {
      asked.push(question);
      return question.repositoryPath === NOWHERE ? control : own;
    },
    questions,
    log: SILENT_LOGGER,
  })(SIGNAL);
  return { isUp, asked };
}

test("the mirror's only repository, and one that exists nowhere, without a credential", async () => {
  const { isUp, asked } = await probe(AWAY, AWAY);
  expect(isUp).toBe(false);
  expect(asked).toEqual([OWN, { authorization: undefined, repositoryPath: NOWHERE }]);
});

test.each<[string, PrimaryAnswer, PrimaryAnswer, boolean]>([
  ["no answer but to the control question", AWAY, { kind: "refused", status: 401 }, true],
  ["no answer but about a repository", { kind: "refused", status: 403 }, AWAY, true],
  ["a limit", AWAY, { kind: "undecided", cause: "rate-limited", reason: "429", status: 429 }, true],
  ["a page that is not git's", AWAY, withStatus(200), true],
  ["408", AWAY, withStatus(408), true],
  ["5xx to all", withStatus(503), withStatus(502), false],
])("%s", async (_, own, control, isUp) => {
  expect((await probe(own, control)).isUp).toBe(isUp);
});

const OTHER: ReadQuestion = { ...OWN, repositoryPath: "acme/docs" };
const TWO = async () => [OWN, OTHER];
const UNAUTHORIZED: PrimaryAnswer = { kind: "refused", status: 401 };

test("two repositories without an answer, asked twice, are an outage of git, whatever else is answered", async () => {
  const { isUp, asked } = await probe(withStatus(503), UNAUTHORIZED, TWO);
  expect(isUp).toBe(false);
  expect(asked).toEqual([OWN, OTHER, OWN, OTHER]);
});

test.each([
  ["one of two", [AWAY, UNAUTHORIZED], 2],
  ["one of two the second time", [AWAY, AWAY, UNAUTHORIZED, AWAY], 4],
])("an answer about %s proves that there is none", async (_, answers, count) => {
  const asked: ReadQuestion[] = [];
  const askPrimary = async (question: ReadQuestion) => {
    asked.push(question);
    return answers[asked.length - 1] ?? AWAY;
  };
  expect(await probePrimary({ askPrimary, questions: TWO, log: SILENT_LOGGER })(SIGNAL)).toBe(true);
  expect(asked).toHaveLength(count);
});

test("nothing mirrored, or questions that cannot be found, prove no outage", async () => {
  expect(await probe(AWAY, AWAY, async () => [])).toEqual({ isUp: true, asked: [] });
  const failing = () => Promise.reject(new Error("the store is gone"));
  expect(await probe(AWAY, AWAY, failing)).toEqual({ isUp: true, asked: [] });
});
