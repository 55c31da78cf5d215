/**
 * The decision about a request, as data: in a deployment the authorizer function makes it, and the git function reads it. During a
 * deploy they may be of two releases: fields that this one does not know are ignored. So what restricts a decision gets a `kind` of its
 * own, which an older release refuses.
 */
import * as z from "zod/mini";
import { notFoundResponse, textResponse } from "../http/error-response.ts";
import type { HttpResponse } from "../http/message.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { namedPath } from "../repo/resolve-repository.ts";
import { NO_CACHE_HEADERS, type Service } from "./route.ts";

const seconds = z.int().check(z.nonnegative());

const decisionSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("allowed"),
    /** The repository's path below the primary's git address; absent if it is on another host. */
    primaryPath: z.optional(z.string()),
    /** The same with its name, if `primaryPath` has its uuid: for URLs that callers see. */
    plainPath: z.optional(z.string()),
    /** The only repository that may be served; absent if the name means none. */
    uuid: z.optional(z.string()),
    /** The age of a yes that counts because of an outage of the primary. */
    staleSeconds: z.optional(seconds),
  }),
  z.object({
    kind: z.literal("refused"),
    status: z.literal([401, 404, 429, 503]),
    /** One line for the caller; ignored for 404, whose text is always the same. */
    text: z.string(),
    retryAfterSeconds: z.optional(seconds),
  }),
]);

export type AccessDecision = z.infer<typeof decisionSchema>;
export type AllowedAccess = Extract<AccessDecision, { kind: "allowed" }>;
export type RefusedAccess = Extract<AccessDecision, { kind: "refused" }>;
/** As it is answered: 403 in place of a 401 that is repeated, see repeated-refusals.ts. */
export type AnsweredRefusal = Omit<RefusedAccess, "status"> & {
  readonly status: RefusedAccess["status"] | 403;
};

/** What a decision is about. */
interface Decided {
  readonly service: Service;
  readonly repository: RepositoryReference;
}

const boundSchema = z.object({ about: z.string(), decision: decisionSchema });

/** Only ASCII, as API Gateway passes it on in a header. */
export function formatDecision(decision: AccessDecision, decided: Decided): string {
  return JSON.stringify({ about: aboutOf(decided), decision }).replace(
    /[^\x20-\x7e]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** @throws {Error} It is no decision, or about another request: nothing may be served. */
export function parseDecision(text: unknown, asked: Decided): AccessDecision {
  if (typeof text !== "string") throw new Error("the request comes without the authorizer's decision");
  const { about, decision } = boundSchema.parse(JSON.parse(text));
  if (about !== aboutOf(asked)) throw new Error("the authorizer's decision is about another request");
  return decision;
}

function aboutOf({ service, repository }: Decided): string {
  return `${service} ${repository.kind} ${namedPath(repository)}`;
}

/**
 * Makes git, JGit and git-lfs ask for a name and password. infra/git-endpoint.ts makes API Gateway send the same.
 */
const CHALLENGE = 'Basic realm="Nearside mirror of Bitbucket"';
const CHALLENGE_HEADERS = { "www-authenticate": CHALLENGE, "lfs-authenticate": CHALLENGE };

export function refusalResponse({ status, text, retryAfterSeconds }: AnsweredRefusal): HttpResponse {
  if (status === 404) return notFoundResponse(NO_CACHE_HEADERS);
  return textResponse(status, text, {
    ...NO_CACHE_HEADERS,
    ...(status === 401 && CHALLENGE_HEADERS),
    ...(retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) }),
  });
}
