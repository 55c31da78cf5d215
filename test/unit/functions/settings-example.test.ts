/** The example of nearside.config.json has every setting, and can be used as it is and line by line. */
import { expect, test } from "vitest";
import { settingsExample } from "../../../functions/cli/settings-example.ts";
import { SETTING_NAMES, settingOf } from "../../../lib/settings.ts";
import { parseSettingsFile } from "../../../lib/settings-file.ts";

const EXAMPLE = settingsExample();
const SETTING_LINE = /^( +)\/\/ ("(\w+)": .*),$/gm;

test("as it is, it sets nothing", () => {
  expect(parseSettingsFile(EXAMPLE, "example")).toEqual({});
});

test("it has every setting once", () => {
  const names = [...EXAMPLE.matchAll(SETTING_LINE)].map(([, , , name]) => name);
  expect(names.toSorted()).toEqual(SETTING_NAMES.toSorted());
});

test("without their slashes, the lines with a default set just that", () => {
  const text = EXAMPLE.replaceAll(SETTING_LINE, (line, indent: string, setting: string) =>
    setting.endsWith(': ""') ? line : `${indent}${setting},`,
  );
  const defaults = SETTING_NAMES.flatMap((name) => {
    const { default: value } = settingOf(name) as { readonly default?: unknown };
    return value === undefined || value === "" ? [] : [[name, value]];
  });
  expect(parseSettingsFile(text, "example")).toEqual(Object.fromEntries(defaults));
});

test("slashes and commas in a text stay, and what is no JSON is still refused", () => {
  const text = '{\n  // where\n  "gitUrl": "https://git.example.com/,}",\n}';
  expect(parseSettingsFile(text, "file")).toEqual({ gitUrl: "https://git.example.com/,}" });
  expect(() => parseSettingsFile('{"gitUrl": "https://a.example",,}', "file")).toThrow("file is not JSON");
  expect(() => parseSettingsFile("{ /* no */ }", "file")).toThrow("file is not JSON");
});
