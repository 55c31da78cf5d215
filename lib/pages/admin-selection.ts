/** The form that changes what of a workspace is mirrored. */
import { ConfigError } from "../errors.ts";
import { type SelectionChange, selectRepositories } from "../mirror/change-workspaces.ts";
import { checkMirrorConfig } from "../mirror/mirror-config.ts";
import { type ActionContext, configurationOf, type PlannedAction } from "./planned-action.ts";

export async function planSelect(
  workspace: string,
  form: URLSearchParams,
  { administration, readConfig }: ActionContext,
): Promise<PlannedAction> {
  const change = selectionOf(form);
  checkMirrorConfig(selectRepositories(await readConfig(), workspace, change));
  return {
    detail: describeSelection(change),
    run: () =>
      configurationOf(administration).change((config) => selectRepositories(config, workspace, change)),
  };
}

/** @throws {ConfigError} It is not the page's form, or has a number of days that is none. */
export function selectionOf(
  form: URLSearchParams,
): Required<Omit<SelectionChange, "retentionDays">> & Pick<SelectionChange, "retentionDays"> {
  // Without this field all would be deselected.
  if (!form.has("projects")) throw new ConfigError("the form has no projects: nothing is changed");
  const retentionDays = daysOf(form);
  const projects = listOf(form, "projects");
  return {
    projects: projects.length === 1 && projects[0]?.toLowerCase() === "all" ? "all" : projects,
    include: listOf(form, "include"),
    exclude: listOf(form, "exclude"),
    publicRepositories: form.has("public"),
    ...(retentionDays !== undefined && { retentionDays }),
  };
}

function describeSelection({ projects, include, exclude, publicRepositories }: SelectionChange): string {
  const list = (items: readonly string[] = []) => (items.length === 0 ? "none" : items.join(", "));
  return `projects: ${projects === "all" ? "all" : list(projects)}; include: ${list(include)}; exclude: ${list(exclude)}; public: ${publicRepositories ? "mirrored" : "skipped"}`;
}

function listOf(form: URLSearchParams, field: string): string[] {
  return (form.get(field) ?? "").split(/[\s,]+/).filter((item) => item !== "");
}

function daysOf(form: URLSearchParams): number | undefined {
  const text = (form.get("retentionDays") ?? "").trim();
  if (text === "") return undefined;
  if (/^\d{1,4}$/.test(text) && Number(text) <= 3653) return Number(text);
  throw new ConfigError("the retention time is a number of days, from 0 to 3653");
}
