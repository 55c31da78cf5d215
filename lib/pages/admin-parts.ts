/** What the pages for administrators have in common: a workspace's facts, and forms. */
import { html } from "hono/html";
import { describeAge } from "../age.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { AdminActionName } from "./admin-actions.ts";
import type { Html, Viewer } from "./page-layout.ts";

export interface AdministeredWorkspace {
  readonly workspace: MirroredWorkspace;
  readonly mirroredCount: number;
  readonly listedAt: string | undefined;
  /** Selected repositories that Bitbucket's list lacks, and that are not known to be deleted; by name. */
  readonly noAccess: readonly HiddenRepository[];
  /** Those of which Bitbucket said that they were deleted, so many at once that they are served until that is certain; by name. */
  readonly announced: readonly HiddenRepository[];
  readonly failedCount: number;
}

export interface HiddenRepository {
  readonly slug: string;
  readonly since: string;
  /** Many vanished at once: served until that is certain. */
  readonly isServed: boolean;
}

export interface AdminPage {
  readonly viewer: Viewer;
  readonly nowMs: number;
}

export function form(
  {
    viewer,
    workspace: { workspace },
  }: { readonly viewer: Viewer; readonly workspace: Pick<MirroredWorkspace, "workspace"> },
  action: AdminActionName,
  label: string,
  fields: Html | "" = "",
): Html {
  return html`<form class="action" method="post" action="${viewer.basePath}/-/admin/${workspace}/${action}">${fields}<button>${label}</button></form>
`;
}

export function modeCell({ removedAt, disabled }: MirroredWorkspace): Html {
  const [text, kind] =
    removedAt !== undefined ? ["Removed", "bad"] : disabled ? ["Paused", "waiting"] : ["Active", "good"];
  return html`<span class="state ${kind}">${text}</span>`;
}

export function listedWords({ listedAt }: AdministeredWorkspace, nowMs: number): string {
  return listedAt === undefined
    ? "not listed yet"
    : `listed ${describeAge(nowMs - Date.parse(listedAt))} ago`;
}

export function countedRepositories(many: number): string {
  return `${many} ${many === 1 ? "repository" : "repositories"}`;
}
