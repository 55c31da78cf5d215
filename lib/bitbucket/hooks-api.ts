/** Webhooks of a workspace or a repository, over Bitbucket Cloud's REST API 2.0. */
import { z } from "zod";
import { LimitExceededError } from "../errors.ts";
import { nextPageUrl, pathSegment } from "./rest-api.ts";
import { getJson, type RestApiOptions, requestJson } from "./rest-request.ts";

/** Where a webhook hangs: on a workspace, or on one repository of it. */
export interface HookPlace {
  readonly workspace: string;
  /** Of the repository, without braces. */
  readonly uuid?: string;
}

const hookSchema = z.object({
  uuid: z.string().min(1),
  url: z.string(),
  description: z.string().nullish(),
  active: z.boolean(),
  events: z.array(z.string()),
  secret_set: z.boolean().nullish(),
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
  list(place: HookPlace): Promise<readonly Hook[]>;
  create(place: HookPlace, settings: HookSettings): Promise<void>;
  update(place: HookPlace, hookUuid: string, settings: HookSettings): Promise<void>;
  remove(place: HookPlace, hookUuid: string): Promise<void>;
}

const pageSchema = z.object({ values: z.array(hookSchema), next: z.url().optional() });

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
    async list(place) {
      const hooks: Hook[] = [];
      let url: URL | undefined = urlOf(place);
      url.searchParams.set("pagelen", "100");
      for (let pages = 1; url !== undefined; pages++) {
        if (pages > MAX_PAGES) throw new LimitExceededError(`more than ${MAX_PAGES} pages of webhooks`);
        const page: z.infer<typeof pageSchema> = await getJson(url, pageSchema, options);
        hooks.push(...page.values);
        url = page.next === undefined ? undefined : nextPageUrl(page.next, apiUrl);
      }
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
