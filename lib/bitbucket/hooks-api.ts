/** Webhooks of a workspace or a repository, over Bitbucket Cloud's REST API 2.0. */
import * as z from "zod";
import { pathSegment } from "./rest-api.ts";
import { type OnSkipped, readPages } from "./rest-pages.ts";
import { DEFAULT_REST_API_LIMITS, type RestApiOptions, requestJson } from "./rest-request.ts";

/** Where a webhook is registered: on a workspace, or on one repository of it. */
export interface HookPlace {
  readonly workspace: string;
  /** Of the repository, without braces. */
  readonly uuid?: string;
}

/** Demands only what it is addressed by: a webhook that is odd otherwise is not as wanted, and is written anew. */
const hookSchema = z.object({
  uuid: z.string().min(1),
  url: z.string().catch(""),
  description: z.string().nullish().catch(null),
  active: z.boolean().catch(false),
  events: z.array(z.string()).catch([]),
  secret_set: z.boolean().nullish().catch(null),
});

export type Hook = z.infer<typeof hookSchema>;

export interface HookSettings {
  readonly url: string;
  readonly description: string;
  readonly active: true;
  readonly events: readonly string[];
  readonly secret: string;
}

/** All throw as `BitbucketRestApi` does; {UpstreamError} with status 403 if the account may not. */
export interface BitbucketHooksApi {
  /** Without entries that cannot be used. */
  list(place: HookPlace, onSkipped?: OnSkipped): Promise<readonly Hook[]>;
  create(place: HookPlace, settings: HookSettings): Promise<void>;
  update(place: HookPlace, hookUuid: string, settings: HookSettings): Promise<void>;
  remove(place: HookPlace, hookUuid: string): Promise<void>;
}

/** Bitbucket allows 50 on a repository. */
const MAX_PAGES = 10;

export function bitbucketHooksApi(options: RestApiOptions): BitbucketHooksApi {
  const apiUrl = options.apiUrl.replace(/\/+$/, "");
  const urlOf = ({ workspace, uuid }: HookPlace, hookUuid?: string): URL => {
    const owner = pathSegment(workspace);
    const place =
      uuid === undefined ? `workspaces/${owner}` : `repositories/${owner}/${pathSegment(`{${uuid}}`)}`;
    return new URL(`${apiUrl}/${place}/hooks${hookUuid === undefined ? "" : `/${pathSegment(hookUuid)}`}`);
  };
  return {
    async list(place, onSkipped = () => undefined) {
      const url = urlOf(place);
      url.searchParams.set("pagelen", "100");
      const limits = { ...(options.limits ?? DEFAULT_REST_API_LIMITS), maxPages: MAX_PAGES };
      const hooks: Hook[] = [];
      for await (const hook of readPages(url, hookSchema, onSkipped, { ...options, limits }))
        hooks.push(hook);
      return hooks;
    },
    async create(place, settings) {
      await requestJson("POST", urlOf(place), settings, hookSchema, options);
    },
    async update(place, hookUuid, settings) {
      await requestJson("PUT", urlOf(place, hookUuid), settings, hookSchema, options);
    },
    async remove(place, hookUuid) {
      await requestJson("DELETE", urlOf(place, hookUuid), undefined, z.null(), options);
    },
  };
}
