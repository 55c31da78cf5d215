/** Which workspaces a credential's owner administers. Source: developer.atlassian.com/cloud/bitbucket/rest, `GET /user/workspaces`. */
import * as z from "zod";
import { bareUuid, readPages } from "./rest-pages.ts";
import type { RestApiOptions } from "./rest-request.ts";

const accessSchema = z.object({
  administrator: z.boolean(),
  workspace: z.object({ slug: z.string(), uuid: z.unknown().optional() }),
});

export interface BitbucketWorkspace {
  /** In lower case. Once a workspace is renamed, another one can have it. */
  readonly slug: string;
  /** Lower case, without braces; `undefined` if Bitbucket gives no valid one. */
  readonly uuid: string | undefined;
}

/**
 * The owner of an API token with the scope `read:workspace:bitbucket`; access tokens have none.
 * @throws {UpstreamError} With `status` 401 or 403 if Bitbucket does not say it to this credential.
 */
export async function administeredWorkspaces(options: RestApiOptions): Promise<BitbucketWorkspace[]> {
  const url = new URL(`${options.apiUrl.replace(/\/+$/, "")}/user/workspaces`);
  url.searchParams.set("administrator", "true");
  url.searchParams.set("pagelen", "100");
  const found: BitbucketWorkspace[] = [];
  for await (const { administrator, workspace } of readPages(url, accessSchema, () => undefined, options))
    if (administrator) found.push({ slug: workspace.slug.toLowerCase(), uuid: bareUuid(workspace.uuid) });
  return found;
}
