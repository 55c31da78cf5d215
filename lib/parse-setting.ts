/** Reads the value of a setting from text: one rule for the environment, the command line and `nearside.config.json`. */
import { isIP } from "node:net";
import { ConfigError } from "./errors.ts";
import type { Setting } from "./settings/setting.ts";
import { type SettingName, settingOf, type ValueOf } from "./settings.ts";

/**
 * @param text - From the environment, the command line or the file.
 * @throws {ConfigError} The message is the rule that it breaks, such as "must be one of allow, deny". It never repeats `text`, which
 *   may hold a password.
 */
export function parseSetting<Name extends SettingName>(name: Name, text: string): ValueOf<Name> {
  return parseValue(settingOf(name), text) as ValueOf<Name>;
}

/** The same for a row of the table. */
export function parseValue(setting: Setting, text: string): string | number {
  if (!isValid(setting, text)) throw new ConfigError(ruleOf(setting));
  if (setting.type === "integer" || setting.type === "number") return Number(text);
  if (setting.type !== "url") return text;
  if (hasCredential(text)) throw new ConfigError("must not contain a credential");
  // Paths are appended to it.
  return text.replace(/\/+$/, "");
}

function isValid(setting: Setting, text: string): boolean {
  switch (setting.type) {
    case "choice":
      return setting.choices.includes(text);
    case "integer":
      return /^\d{1,9}$/.test(text) && Number(text) >= setting.min && Number(text) <= setting.max;
    case "number":
      return text.trim() !== "" && Number(text) >= setting.min && Number(text) <= setting.max;
    case "text":
      return text !== "" && (setting.pattern?.test(text) ?? true);
    case "url":
      return /^https?:\/\/[^/]/.test(text) && URL.canParse(text) && !/[\s,]/.test(new URL(text).host);
    case "ip-address":
      return isIP(text) !== 0;
    case "addresses":
      return text !== "";
  }
}

export function ruleOf(setting: Setting): string {
  switch (setting.type) {
    case "choice":
      return `must be one of ${setting.choices.join(", ")}`;
    case "integer":
      return `must be a whole number from ${setting.min} to ${setting.max}`;
    case "number":
      return `must be a number from ${setting.min} to ${setting.max}`;
    case "text":
      return setting.rule ?? "must not be empty";
    case "url":
      return "must be an address that begins with https:// or http://";
    case "ip-address":
      return "must be an IP address, such as 0.0.0.0 or ::1";
    case "addresses":
      return `must be ${setting.default}, or ranges of addresses such as 203.0.113.0/24`;
  }
}

function hasCredential(url: string): boolean {
  const { username, password } = new URL(url);
  return username !== "" || password !== "";
}
