/** What a function writes over hours in which Bitbucket rejects the first of an account's two tokens. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseAccount } from "../../../lib/bitbucket/credential.ts";
import { SecondCredentials } from "../../../lib/bitbucket/second-credential.ts";
import { EmfMetrics } from "../../../lib/emf.ts";
import { jsonLogger } from "../../../lib/log-json.ts";
import { SETTINGS } from "../../../lib/settings.ts";

/** One process, with a request every five minutes of a simulated clock. */
export async function secondCredentialLines(
  minutes: number,
): Promise<readonly { readonly line: string; readonly minute: number }[]> {
  const lines: { line: string; minute: number }[] = [];
  let minute = 0;
  const log = jsonLogger("info", {
    metrics: new EmfMetrics({ namespace: SETTINGS.stackPrefix.default, hasDetail: false }),
    write: (line) => void lines.push({ line, minute }),
  });
  const account = parseAccount('[{"token":"old"},{"token":"new"}]') ?? { kind: "none" };
  const fetch = new SecondCredentials({ pauseMs: 0, nowMs: () => minute * 60_000 }).fetchFor({
    ...{ account, questionUrl: "https://bitbucket.example/question", log },
    fetch: async (_input, init) => {
      const isOld = new Headers(init?.headers).get("authorization") === "Bearer old";
      return new Response(null, { status: isOld ? 401 : 200 });
    },
  });
  for (; minute < minutes; minute += 5) {
    await fetch("https://bitbucket.example/", { headers: { authorization: "Bearer old" } });
    // Nothing waits for a question while the second is used.
    await sleep(10);
  }
  return lines;
}
