/** The table of settings in docs/configure.md, made from lib/settings.ts. `npm run settings-tables` writes it; a test compares. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Setting } from "../../lib/settings/setting.ts";
import { type ArgumentName, flagOf, SETTING_NAMES, sectionOf, settingOf } from "../../lib/settings.ts";

const DOCUMENT = fileURLToPath(new URL("../../docs/configure.md", import.meta.url));
const BEGIN = "<!-- settings: made by npm run settings-tables -->";
const END = "<!-- end of settings -->";

export function settingsDocument(): string {
  return readFileSync(DOCUMENT, "utf8");
}

/** @returns The document with the table as it should be. */
export function withSettingsTable(text: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/configure.md has no ${BEGIN} … ${END}`);
  return `${text.slice(0, begin)}${BEGIN}\n${table()}\n${text.slice(end)}`;
}

function table(): string {
  const rows = SETTING_NAMES.map((name) => {
    const setting = settingOf(name);
    const section = sectionOf(name);
    const path = section === "common" ? name : `${section}.${name}`;
    const option = section === "deployment" ? "" : `\`${flagOf(name as ArgumentName)}\``;
    return [`\`${path}\``, option, valuesOf(setting), setting.description];
  });
  const head = ["`nearside.config.json`", "option", "value; default", ""];
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), "| --- | --- | --- | --- |", ...rows.map(line)].join("\n");
}

function valuesOf(setting: Setting): string {
  const { default: value } = setting;
  const ending = value === undefined ? "" : `; \`${value}\``;
  switch (setting.type) {
    case "choice":
      return `${setting.choices.map((choice) => `\`${choice}\``).join(", ")}${ending}`;
    case "integer":
    case "number":
      return `${setting.min} to ${setting.max}${ending}`;
    case "addresses":
      return `\`"${setting.default}"\`, or a list of ranges${ending}`;
    case "ip-address":
      return `an IP address${ending}`;
    case "url":
      return `a URL${ending}`;
    case "text":
      return `text${ending}`;
  }
}

if (import.meta.main) writeFileSync(DOCUMENT, withSettingsTable(settingsDocument()));
