/** An administrator at the pages of a deployment, and dead letters for what he does with them. */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { formatSyncJob } from "../../../lib/mirror/sync-job.ts";
import { ACCOUNT_TOKEN } from "../test-credentials.ts";
import type { DeployedAcme } from "./deployed-acme.ts";

export async function signInAdministrator({ front }: DeployedAcme) {
  let cookie = "";
  const post = (path: string, fields: Record<string, string> = {}) =>
    fetch(`${front.url}${path}`, {
      method: "POST",
      redirect: "manual",
      headers: { "sec-fetch-site": "same-origin", cookie },
      body: new URLSearchParams(fields),
    });
  // After an outage the mirror waits before it asks again.
  await expect
    .poll(
      async () => {
        const session = await post("/-/sign-in", { user: "bot@example.com", token: ACCOUNT_TOKEN });
        cookie = session.headers.get("set-cookie")?.split(";")[0] ?? "";
        return session.status;
      },
      { timeout: 60_000, interval: 1_000 },
    )
    .toBe(303);
  return {
    post,
    page: async (path: string) => (await fetch(`${front.url}${path}`, { headers: { cookie } })).text(),
    /** Sends a form of the workspace's page, and expects that it is done. */
    async act(action: string, fields: Record<string, string> = {}): Promise<void> {
      const answer = await post(`/-/admin/acme/${action}`, fields);
      expect([answer.status, answer.headers.get("location")], await answer.text()).toEqual([
        303,
        `/git/-/admin/acme?done=${action}`,
      ]);
    },
  };
}

/** @param page - Of the session. */
export async function expectCharts(
  { front: { metrics, queues, function: functionOf } }: DeployedAcme,
  page: (path: string) => Promise<string>,
): Promise<void> {
  const queueName = queues.url("SyncQueue").split("/").at(-1);
  metrics.values.set("Nearside/SentBytes", 5_000_000);
  metrics.values.set(`AWS/SQS/ApproximateNumberOfMessagesVisible/${queueName}`, 3);
  for (let count = 0; count < 3; count++) {
    const overview = await page("/-/admin");
    expect(overview).toContain("sent: 5.0 MB");
    expect(overview).toContain("syncs waiting: at most 3");
    // Details are not recorded by default.
    expect(overview).not.toContain("by kept recipes");
  }
  // Kept for minutes.
  expect(metrics.asked.length).toBeLessThanOrEqual(functionOf("pages").counts.cold);
}

export const DEAD_LETTER_QUEUES = ["SyncQueue", "LfsQueue", "RelayQueue"].map(
  (name) => `${name}DeadLetterQueue`,
);

/** One of the workspace `acme`, and one of another, in each queue of dead letters. */
export async function buryJobs({ front, uuid: acmeUuid }: DeployedAcme): Promise<void> {
  const at = "2026-12-01T00:00:00.000Z";
  for (const workspace of ["acme", "other"]) {
    const uuid = workspace === "acme" ? acmeUuid : randomUUID();
    const event = {
      ...{ uuid, workspace, slug: "sample", isPrivate: true, generation: 1, at, changes: [] },
      ...{ syncType: "SNAPSHOT", refLimitExceeded: true },
    };
    const bodies = [
      formatSyncJob({ kind: "workspace", workspace, reason: "asked", queuedAt: at }),
      JSON.stringify({ kind: "find", workspace, uuid, queuedAt: at }),
      JSON.stringify({ kind: "relay", receiver: { kind: "event-bus" }, requestId: "replayed", event }),
    ];
    for (const [index, name] of DEAD_LETTER_QUEUES.entries())
      await front.queues.send(name, { groupId: workspace, dedupId: workspace, body: bodies[index] ?? "" });
  }
}
