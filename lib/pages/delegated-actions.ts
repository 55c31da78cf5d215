/**
 * What the pages have another process do: the one that all callers reach may not change what is mirrored. The other one asks Bitbucket
 * again whether the caller administers the workspace, so what it is sent gives no right.
 */
import * as z from "zod/mini";
import { ConfigError, errorFields, MirrorError, OverloadedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { loggedText } from "../mirror/admin-log.ts";
import type { MirrorConfig } from "../mirror/mirror-config.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { ADMIN_ACTIONS, type AdminAction, isAdminAction } from "./admin-actions.ts";
import { wordsOf } from "./admin-words.ts";
import type { Administrators } from "./administrators.ts";
import { callerOfHeader } from "./caller.ts";
import type { Administration, Delegate, DelegatedRequest } from "./ports.ts";

const requestSchema = z.object({
  workspace: z.string(),
  /** The caller's, for REST. */
  authorization: z.string(),
  /** Absent: the dead letters are wanted. */
  action: z.optional(z.string()),
  /** The form, as browsers send it. */
  form: z.optional(z.string()),
});

const answerSchema = z.object({
  /** Why nothing was done. */
  problem: z.optional(z.string()),
  letters: z.optional(z.array(z.string())),
});

export type DelegatedAnswer = z.infer<typeof answerSchema>;

export interface DelegatedActionsOptions {
  readonly store: BlobStore;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly administration: Omit<Administration, "administered">;
  readonly administrators: Administrators;
  readonly log: Logger;
  readonly now?: () => number;
}

/** @returns Does what an event asks for. Throws what is no error of the mirror's. */
export function delegatedActions(
  options: DelegatedActionsOptions,
): (event: unknown) => Promise<DelegatedAnswer> {
  return async (event) => {
    const asked = requestSchema.parse(event);
    try {
      return await answer(asked, options);
    } catch (error) {
      if (!(error instanceof MirrorError)) throw error;
      const { workspace, action } = asked;
      options.log.warn("admin:refused", {
        workspace: loggedText(workspace),
        ...(action !== undefined && { action: loggedText(action) }),
        ...errorFields(error),
      });
      return { problem: wordsOf(error) };
    }
  };
}

async function answer(
  { workspace: name, authorization, action, form }: z.infer<typeof requestSchema>,
  { store, readConfig, administration, administrators, log, now = Date.now }: DelegatedActionsOptions,
): Promise<DelegatedAnswer> {
  const caller = callerOfHeader(authorization);
  const own = caller === undefined ? [] : await administrators.ofMirrored(caller, readConfig);
  const isIt = (one: string) => one.toLowerCase() === name.toLowerCase();
  const workspace = own.find((one) => isIt(one.workspace))?.workspace;
  if (caller === undefined || workspace === undefined)
    throw new ConfigError("Bitbucket does not say that you administer this workspace");
  if (action === undefined)
    return { letters: [...((await administration.deadLetters?.list(workspace)) ?? [])] };
  if (!isAdminAction(action)) throw new ConfigError("this release has no such action");
  const { plan }: AdminAction = ADMIN_ACTIONS[action];
  const { detail, run } = await plan(workspace, new URLSearchParams(form), {
    ...{ store, readConfig, administration, now },
  });
  await run();
  const logged = { workspace, action, who: loggedText(caller.name) };
  log.info("admin:performed", { ...logged, ...(detail !== undefined && { detail: loggedText(detail) }) });
  return {};
}

/** @param send - To the process with the rights. @returns Throws a ConfigError with what that one says was wrong. */
export function delegateOver(send: (request: DelegatedRequest) => Promise<unknown>): Delegate {
  async function ask(request: DelegatedRequest): Promise<DelegatedAnswer> {
    const answered = answerSchema.safeParse(await send(request));
    if (!answered.success)
      throw new OverloadedError("the function for administrators gave no valid answer", { status: 503 });
    const { problem } = answered.data;
    if (problem !== undefined) throw new ConfigError(problem);
    return answered.data;
  }
  return {
    perform: ask,
    deadLetters: async (request) => (await ask(request)).letters ?? [],
  };
}
