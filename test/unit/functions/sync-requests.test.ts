import { expect, test } from "vitest";
import { requestAgain, requeueUnfinished } from "../../../functions/wiring/sync-requests.ts";
import { StoppedError, UnfinishedError } from "../../../lib/errors.ts";
import type { RepositoryJob } from "../../../lib/mirror/sync-job.ts";

const JOB: RepositoryJob = {
  kind: "repository",
  workspace: "acme",
  uuid: "01234567-89ab-cdef-0123-456789abcdef",
  reason: "new",
  queuedAt: "2026-11-01T00:00:00.000Z",
};

function goOn(error: Error | undefined) {
  const asked: unknown[] = [];
  const request = async (jobs: readonly unknown[]) => void asked.push(...jobs);
  const run = async () => {
    if (error !== undefined) throw error;
  };
  return { asked, done: requeueUnfinished(run, (error) => requestAgain({ request }, JOB, error)) };
}

test("a sync that has come further is asked for anew, by how far it has come", async () => {
  const { asked, done } = goOn(new UnfinishedError("stopped", { doneSteps: 12 }));
  await done;
  expect(asked).toEqual([{ job: JOB, eventId: `unfinished-${JOB.uuid}-${JOB.queuedAt}-12` }]);
});

test("one that has not is a failed try", async () => {
  const stopped = new StoppedError("stopped");
  const { asked, done } = goOn(stopped);
  await expect(done).rejects.toBe(stopped);
  expect(asked).toEqual([]);
});

test("one that is done is done", async () => {
  const { asked, done } = goOn(undefined);
  await done;
  expect(asked).toEqual([]);
});
