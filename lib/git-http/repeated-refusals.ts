/**
 * Ends a client that sends the same refused credential again and again: 401 makes git-lfs ask for another one, and with a credential
 * that is set in its configuration it gets the same one, a thousand times in 20 s. It stops at 403.
 * Source: git-lfs, lfsapi/auth.go, "DoWithAuth".
 */
import { createHash } from "node:crypto";
import { minuteWindows } from "../auth/request-limits.ts";
import { addressBlock } from "../http/address-block.ts";
import { namedPath } from "../repo/resolve-repository.ts";
import type { AnsweredRefusal, RefusedAccess } from "./access-decision.ts";
import type { AccessQuestion } from "./decide-access.ts";

/**
 * How many 401 a source gets for a credential and a repository within a minute. The first one makes git and git-lfs drop a stored
 * credential. git asks once for each command, and many may run at once behind an address.
 */
const MAX_UNAUTHORIZED = { lfs: 1, git: 30 } as const;

/** By source, credential and repository: a source may have many callers, a credential be good for one repository. */
export function endRepeatedRefusals(
  now: () => number = Date.now,
): (decision: RefusedAccess, question: AccessQuestion) => AnsweredRefusal {
  const windows = minuteWindows<{ count: number }>(now);
  return (decision, { request, service, repository }) => {
    const { authorization } = request.headers;
    if (decision.status !== 401 || authorization === undefined) return decision;
    const client = service === "lfs" ? "lfs" : "git";
    const source = addressBlock(request.remoteAddress);
    const refused = JSON.stringify([source, authorization, `${client} ${namedPath(repository)}`]);
    const key = createHash("sha256").update(refused).digest("base64");
    const window = windows.get(key) ?? { count: 0 };
    if (window.count === 0) windows.set(key, window);
    window.count += 1;
    if (window.count <= MAX_UNAUTHORIZED[client]) return decision;
    return { kind: "refused", status: 403, text: `${decision.text}; it was rejected a moment ago` };
  };
}
