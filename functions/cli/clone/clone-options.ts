/** The options of git-clone(1) that `nearside clone` takes, and how they are passed on to git. */
import { type Command, InvalidArgumentError, Option } from "commander";

const collect = (value: string, before: readonly string[] = []) => [...before, value];

/** Whose clones are not of all packs: git and the mirror work out what belongs to them. */
const PARTIAL: readonly (readonly [flags: string, description: string])[] = [
  ["--depth <count>", "only so many commits"],
  ["--shallow-since <time>", "only commits after it"],
  ["--filter <spec>", "without objects, as blob:none"],
  ["--single-branch", "only the history of one branch"],
];

const OTHERS: readonly (readonly [flags: string, description: string])[] = [
  ["-b, --branch <name>", "check out this branch or tag"],
  ["--bare", "without a work tree"],
  ["--mirror", "bare, with all refs as they are"],
  ["-n, --no-checkout", "check nothing out"],
  ["--no-tags", "without tags"],
  ["-o, --origin <name>", "the remote's name"],
  ["--template <folder>", "of git init"],
  ["--recurse-submodules", "clone all submodules as well"],
  ["--sparse", "with files of the top folder only"],
  ["-j, --jobs <count>", "submodules at a time"],
  ["-q, --quiet", "no progress"],
  ["--progress", "progress also where no terminal is"],
];

/** Not git's. */
const OWN: ReadonlySet<string> = new Set(["--verify", "--by-git-below"]);

/** Adds them. Those that are not here are git's alone. */
export function addCloneOptions(command: Command): Command {
  for (const [flags, description] of [...OTHERS, ...PARTIAL])
    command.addOption(new Option(flags, description));
  const config = new Option("-c, --config <name=value>", "a setting of the new repository");
  return command.addOption(config.argParser(collect));
}

/** Of packs and indexes. git indexes as much in less time than the rest of the command takes. */
const BY_GIT_BELOW_BYTES = 4 * 1024 * 1024;

export function byGitBelowOption(description: string): Option {
  return new Option("--by-git-below <bytes>", description).argParser(parseBytes).default(BY_GIT_BELOW_BYTES);
}

function parseBytes(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It is a number of bytes.");
  return Number(text);
}

/** @returns Why git clones by itself; `undefined`: the mirror's packs may be taken whole. */
export function partialOption(command: Command): string | undefined {
  const flags = PARTIAL.map(([names]) => new Option(names));
  const given = flags.find((option) => isGiven(command, option));
  return given?.long;
}

/** @returns What was given of them, as arguments of `git clone`. */
export function gitCloneArguments(command: Command): string[] {
  return command.options
    .filter((option) => !OWN.has(option.long ?? "") && isGiven(command, option))
    .flatMap((option) => {
      const value: unknown = command.getOptionValue(option.attributeName());
      if (typeof value === "boolean") return [option.long ?? ""];
      const values = Array.isArray(value) ? value.map(String) : [String(value)];
      // In one argument: an empty value, too, stays the option's.
      return values.map((one) => `${option.long}=${one}`);
    });
}

/** @returns Settings for git before its command: `git clone -c` counts for its requests as well. */
export function gitSettings(command: Command): string[] {
  const settings: unknown = command.getOptionValue("config");
  return Array.isArray(settings) ? settings.flatMap((setting) => ["-c", String(setting)]) : [];
}

function isGiven(command: Command, option: Option): boolean {
  return command.getOptionValueSource(option.attributeName()) === "cli";
}
