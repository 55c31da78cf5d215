/** `nearside.config.json` with every setting: what it is for, and its default. */
import { ruleOf } from "../../lib/parse-setting.ts";
import { SECTIONS, type SettingName, settingOf } from "../../lib/settings.ts";

const WIDTH = 100;

/** All that has a default is commented out as well: what a file does not set stays the default of later releases. */
export function settingsExample(): string {
  const { common, ...sections } = SECTIONS;
  const lines = [
    "// Settings of Nearside: take away the two slashes before those that you change.",
    "{",
    ...settingLines(common, "  "),
    ...Object.entries(sections).flatMap(([section, settings]) => [
      `  "${section}": {`,
      ...settingLines(settings, "    "),
      "  },",
    ]),
    "}",
  ];
  return lines.join("\n");
}

function settingLines(settings: object, indent: string): string[] {
  return (Object.keys(settings) as SettingName[]).flatMap((name) => {
    const { description, default: value } = settingOf(name) as {
      readonly description: string;
      readonly default?: string | number;
    };
    const rule = ruleOf(settingOf(name)).replace(/^must/, "Must");
    const text = value === undefined ? `${description}. ${rule}. No default` : `${description}. ${rule}`;
    return [
      ...wrapped(text.replaceAll("`", ""), WIDTH - indent.length).map((line) => `${indent}// ${line}`),
      `${indent}// "${name}": ${value === undefined ? '""' : JSON.stringify(value)},`,
      "",
    ];
  });
}

function wrapped(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== "" && line.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
