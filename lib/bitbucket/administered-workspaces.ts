/** Which workspaces a credential's owner administers. Source: developer.atlassian.com/cloud/bitbucket/rest, `GET /user/workspaces`. */
import * as z from "zod";
import { readPages } from "./rest-pages.ts";
import type { RestApiOptions } from "./rest-request.ts";

const accessSchema = z.object({ administrator: z.boolean(), workspace: z.object({ slug: z.string() }) });

/**
 * The owner of an API token with the scope `read:workspace:bitbucket`; access tokens have none.
 * @returns Slugs in lower case.
 * @throws {UpstreamError} With `status` 401 or 403 if Bitbucket does not say it to this credential.
 */
export async function administeredWorkspaces(options: RestApiOptions): Promise<string[]> {
  const url = new URL(`${options.apiUrl.replace(/\/+$/, "")}/user/workspaces`);
  url.searchParams.set("administrator", "true");
  url.searchParams.set("pagelen", "100");
  const slugs: string[] = [];
  for await (const { administrator, workspace } of readPages(url, accessSchema, () => undefined, options))
    if (administrator) slugs.push(workspace.slug.toLowerCase());
  return slugs;
}
