/**
 * Every setting of a server or a deployment, in one table. `nearside.config.json`, the command line of the server, the environment of
 * the deployed functions, the CDK app and the table of docs/configure.md are made from it. What is mirrored is not here: that is
 * `config.json` in the store.
 */

import { COMMON_SETTINGS } from "./settings/common-settings.ts";
import { DEPLOYMENT_SETTINGS } from "./settings/deployment-settings.ts";
import { SERVER_SETTINGS } from "./settings/server-settings.ts";
import type { Setting, SettingValue } from "./settings/setting.ts";

/** As in `nearside.config.json`: settings of both are at its top. */
export const SECTIONS = {
  common: COMMON_SETTINGS,
  server: SERVER_SETTINGS,
  deployment: DEPLOYMENT_SETTINGS,
};

export const SETTINGS = { ...COMMON_SETTINGS, ...SERVER_SETTINGS, ...DEPLOYMENT_SETTINGS };

export type SettingName = keyof typeof SETTINGS;

/** The value that a setting of this name has, if it is set. */
export type ValueOf<Name extends SettingName> = SettingValue<(typeof SETTINGS)[Name]>;

export type LogLevel = ValueOf<"logLevel">;

export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** The table's row without its literal types, so that optional fields can be read. */
export function settingOf(name: SettingName): Setting {
  return SETTINGS[name];
}

export function sectionOf(name: SettingName): keyof typeof SECTIONS {
  if (name in COMMON_SETTINGS) return "common";
  return name in SERVER_SETTINGS ? "server" : "deployment";
}

/** Settings that the server's command line has. */
export type ArgumentName = keyof typeof COMMON_SETTINGS | keyof typeof SERVER_SETTINGS;

export const ARGUMENT_NAMES = Object.keys({ ...COMMON_SETTINGS, ...SERVER_SETTINGS }) as ArgumentName[];

/** @returns `--git-url` for `gitUrl`. */
export function flagOf(name: ArgumentName): string {
  return settingOf(name).flag ?? `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
