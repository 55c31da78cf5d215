/** What was decided about a request before git's part begins, as data: it may come from another process. */
import { z } from "zod";
import { notFoundResponse, textResponse } from "../http/error-response.ts";
import type { HttpResponse } from "../http/message.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { namedPath } from "../repo/resolve-repository.ts";
import { NO_CACHE_HEADERS, type Service } from "./route.ts";

const decisionSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("allowed"),
    /** Where the primary has the repository, below its git address; absent if that is on another host. */
    primaryPath: z.string().optional(),
    /** The same by its name, where it was found by its uuid: for addresses that are handed out. */
    plainPath: z.string().optional(),
    /** The only repository that it is for; absent if the name meant none. */
    uuid: z.string().optional(),
    /** The primary is away; it was asked so long ago. */
    staleSeconds: z.number().int().nonnegative().optional(),
  }),
  /** Nothing is mirrored yet: the primary may answer, which has it under this path. */
  z.strictObject({ kind: z.literal("sent-on"), primaryPath: z.string() }),
  z.strictObject({
    kind: z.literal("refused"),
    status: z.union([z.literal(401), z.literal(404), z.literal(429), z.literal(503)]),
    /** One line for the caller; of a 404 it is always the same. */
    text: z.string(),
    retryAfterSeconds: z.number().int().nonnegative().optional(),
  }),
]);

export type AccessDecision = z.infer<typeof decisionSchema>;
export type AllowedAccess = Extract<AccessDecision, { kind: "allowed" }>;
export type RefusedAccess = Extract<AccessDecision, { kind: "refused" }>;

/** What was decided about. */
interface Decided {
  readonly service: Service;
  readonly repository: RepositoryReference;
}

const boundSchema = z.strictObject({ about: z.string(), decision: decisionSchema });

/** For one service of one repository. ASCII only: it travels in a field of API Gateway's. */
export function formatDecision(decision: AccessDecision, decided: Decided): string {
  return JSON.stringify({ about: aboutOf(decided), decision }).replace(
    /[^\x20-\x7e]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** @throws {Error} Not a decision, or one about something else: nothing may be served. */
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
 * What git, JGit and credential helpers understand as a wish for a name and password, and git-lfs besides.
 * API Gateway sends the same, by infra/git-endpoint.ts.
 */
const CHALLENGE = 'Basic realm="Nearside mirror of Bitbucket"';
const CHALLENGE_HEADERS = { "www-authenticate": CHALLENGE, "lfs-authenticate": CHALLENGE };

export function refusalResponse({ status, text, retryAfterSeconds }: RefusedAccess): HttpResponse {
  if (status === 404) return notFoundResponse(NO_CACHE_HEADERS);
  return textResponse(status, text, {
    ...NO_CACHE_HEADERS,
    ...(status === 401 && CHALLENGE_HEADERS),
    ...(retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) }),
  });
}
