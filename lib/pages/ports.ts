/** What the pages need from outside: who may read, and the repositories that Bitbucket lists for a caller. */
import type { HttpRequest } from "../http/message.ts";

export interface NamedRepository {
  readonly workspace: string;
  readonly slug: string;
}

export type ReadDecision =
  | {
      readonly kind: "allowed";
      /** The only repository that may be shown; absent if the name means none. */
      readonly uuid?: string | undefined;
    }
  /** `unauthorized`: Bitbucket rejects the credential, or asks for one. `busy`: there is no answer yet. */
  | { readonly kind: "unauthorized" | "not-found" | "busy"; readonly text: string };

/**
 * The same decision as for git.
 * @param authorization - In place of the request's own.
 */
export type MayRead = (
  request: HttpRequest,
  authorization: string | undefined,
  repository: NamedRepository,
) => Promise<ReadDecision>;

/**
 * UUIDs of the repositories in a workspace that the credential may read.
 * @throws {NotFoundError} The caller does not see the workspace.
 * @throws {UpstreamError} With `status` 401 or 403 if the credential may not list repositories.
 */
export type ListReadable = (
  authorization: string,
  workspace: string,
) => AsyncIterable<{ readonly uuid: string }>;
