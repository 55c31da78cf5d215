/**
 * `nearside.config.json`: the settings of a server or a deployment, by the table in lib/settings.ts. The server, the command line and the
 * CDK app read it. A setting of both is at the top level, others are in `server` or `deployment`.
 */
import { existsSync, readFileSync } from "node:fs";
import * as z from "zod";
import { parseAddressRanges } from "./address-ranges.ts";
import { ConfigError } from "./errors.ts";
import { parseSetting, ruleOf } from "./parse-setting.ts";
import { SECTIONS, SETTING_NAMES, type SettingName, sectionOf, settingOf, type ValueOf } from "./settings.ts";

/** Read from the current folder if no other file is named. */
export const SETTINGS_FILE = "nearside.config.json";

/** What a file sets, by name, whatever its section. Addresses are text: `any`, or ranges separated by commas. */
export type FileSettings = { readonly [Name in SettingName]?: ValueOf<Name> };

/**
 * @param path - `undefined` for the default file, which need not exist.
 * @throws {ConfigError} No such file, or one that is not valid: names every problem.
 */
export function readSettingsFile(path: string | undefined): FileSettings {
  const file = path ?? SETTINGS_FILE;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" && path === undefined) return {};
    throw new ConfigError(`${file} cannot be read`, { cause: error });
  }
  return parseSettingsFile(text, file);
}

/** Why nothing is deployed without a settings file, and what to do. */
export const MISSING_SETTINGS_FILE = `${SETTINGS_FILE} is missing in this folder, and without settings a deployment accepts requests from any address. Restore the file of the last deployment; for a first one, write {} into it.`;

/** @param path - As of `readSettingsFile`. */
export function isSettingsFileMissing(path: string | undefined): boolean {
  return path === undefined && !existsSync(SETTINGS_FILE);
}

/** @param file - Its name, for messages. @throws {ConfigError} Names every problem. */
export function parseSettingsFile(text: string, file: string): FileSettings {
  let json: unknown;
  try {
    json = JSON.parse(withoutComments(text.replace(/^\uFEFF/, "")));
  } catch (error) {
    throw new ConfigError(`${file} is not JSON`, { cause: error });
  }
  const result = settingsFileSchema.safeParse(json);
  if (!result.success) {
    const problems = result.error.issues.map(describeIssue);
    throw new ConfigError([`${file} is not valid:`, ...problems].join("\n  "));
  }
  const { $schema: _, server = {}, deployment = {}, ...common } = result.data;
  return { ...common, ...server, ...deployment };
}

/** Lines that begin with two slashes, and commas before the end of a list or an object; texts in quotation marks stay. */
function withoutComments(text: string): string {
  const withoutLines = text.replace(/^[ \t]*\/\/.*$/gm, "");
  return withoutLines.replace(
    /("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])/g,
    (_, quoted: string | undefined) => quoted ?? "",
  );
}

function sectionSchema(section: keyof typeof SECTIONS): Record<string, z.ZodType> {
  const names = Object.keys(SECTIONS[section]) as SettingName[];
  return Object.fromEntries(names.map((name) => [name, valueSchema(name).optional()]));
}

/** Accepts the JSON type; the rule is that of the command line and the environment. */
function valueSchema(name: SettingName): z.ZodType {
  const setting = settingOf(name);
  const error = ruleOf(setting);
  if (setting.type === "integer" || setting.type === "number")
    return z.number({ error }).transform((value, context) => checked(name, String(value), context));
  if (setting.type === "addresses")
    return z
      .custom<string | readonly string[]>((value) => value === setting.default || isAddresses(value), {
        error: `must be "${setting.default}", or a list of ranges such as ["203.0.113.0/24"]`,
      })
      .transform((value, context) => checkedAddresses(value, context));
  return z.string({ error }).transform((value, context) => checked(name, value, context));
}

/** An empty list could be meant as "nothing" or as "everything", so it is refused. */
function isAddresses(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string");
}

function checked(name: SettingName, text: string, context: z.RefinementCtx): string | number {
  return attempt(context, () => parseSetting(name, text));
}

function checkedAddresses(value: string | readonly string[], context: z.RefinementCtx): string {
  if (typeof value === "string") return value;
  return attempt(context, () => {
    parseAddressRanges(value);
    return value.join(",");
  });
}

function attempt<T>(context: z.RefinementCtx, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
    return z.NEVER;
  }
}

const settingsFileSchema = z.strictObject({
  $schema: z.string().optional(),
  ...sectionSchema("common"),
  server: z.strictObject(sectionSchema("server")).optional(),
  deployment: z.strictObject(sectionSchema("deployment")).optional(),
}) as z.ZodType<FileSettings & { $schema?: string; server?: FileSettings; deployment?: FileSettings }>;

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.join(".");
  if (issue.code !== "unrecognized_keys") return `${path || "it"} ${issue.message}`;
  return issue.keys.map((key) => describeUnknown(path === "" ? key : `${path}.${key}`, key)).join("\n  ");
}

function describeUnknown(path: string, key: string): string {
  const known = SETTING_NAMES.find((name) => name.toLowerCase() === key.toLowerCase());
  if (known === undefined) return `${path} is not a setting`;
  const section = sectionOf(known);
  return `${path} is not a setting here: it is ${section === "common" ? known : `${section}.${known}`}`;
}
