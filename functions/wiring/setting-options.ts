/** Settings as options of a command: the command line overrides `nearside.config.json`, which overrides the defaults. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseAddressRanges } from "../../lib/address-ranges.ts";
import { ConfigError } from "../../lib/errors.ts";
import { parseSetting } from "../../lib/parse-setting.ts";
import type { Setting } from "../../lib/settings/setting.ts";
import { type ArgumentName, flagOf, SETTINGS, type SettingName, type ValueOf } from "../../lib/settings.ts";
import { readSettingsFile, SETTINGS_FILE } from "../../lib/settings-file.ts";

type NameWithoutDefault = {
  [Name in SettingName]: (typeof SETTINGS)[Name] extends { readonly default: unknown } ? never : Name;
}[SettingName];

export type SettingValues<Name extends SettingName> = {
  readonly [N in Exclude<Name, NameWithoutDefault>]: ValueOf<N>;
} & { readonly [N in Name & NameWithoutDefault]?: ValueOf<N> };

/** Adds options for `names`, and `--config`. Values from the file are there when the command's action runs. */
export function addSettings(command: Command, names: readonly ArgumentName[]): Command {
  for (const name of names) command.addOption(new SettingOption(name));
  return command
    .option("--config <file>", `settings; ${SETTINGS_FILE} in the current folder by default, if there is one`)
    .hook("preAction", (_, action) => applySettingsFile(action));
}

/** @throws {ConfigError} The file is not valid, or `--config` names none. */
function applySettingsFile(command: Command): void {
  const file = readSettingsFile(command.getOptionValue("config"));
  for (const option of command.options) {
    if (!(option instanceof SettingOption)) continue;
    const value = file[option.setting];
    if (value !== undefined && command.getOptionValueSource(option.setting) !== "cli")
      command.setOptionValueWithSource(option.setting, value, "config");
  }
}

class SettingOption extends Option {
  readonly setting: ArgumentName;

  constructor(name: ArgumentName) {
    const setting: Setting = SETTINGS[name];
    const isRepeatable = setting.type === "addresses";
    super(
      `${flagOf(name)} <${placeholderOf(name, setting)}>`,
      isRepeatable ? `${setting.description} (repeatable)` : setting.description,
    );
    this.setting = name;
    if (setting.default !== undefined) this.default(setting.default);
    this.argParser((text: string, before: unknown) =>
      isRepeatable ? collected(setting, text, before) : parsed(name, text),
    );
  }

  /** The key of its value in the command's options. */
  override attributeName(): string {
    return this.setting;
  }
}

/** For an option that is no setting and has the form of one. */
export function settingParser<Name extends SettingName>(name: Name): (text: string) => ValueOf<Name> {
  return (text) => asArgument(() => parseSetting(name, text));
}

function parsed(name: SettingName, text: string): string | number {
  return asArgument(() => parseSetting(name, text));
}

function collected({ default: unset }: Setting, text: string, before: unknown): string {
  asArgument(() => parseAddressRanges([text]));
  return before === unset ? text : `${String(before)},${text}`;
}

function asArgument<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw Object.assign(new InvalidArgumentError(`It ${error.message}.`), { cause: error });
  }
}

function placeholderOf(name: ArgumentName, setting: Setting): string {
  switch (setting.type) {
    case "choice":
      return setting.choices.join("|");
    case "integer":
    case "number":
      return "number";
    case "addresses":
      return "range";
    case "ip-address":
      return "address";
    case "url":
      return "url";
    case "text":
      return name === "store" ? "location" : "text";
  }
}
