/** `nearside completion` */
import { Argument, type Command, type Option } from "commander";
import { print } from "./command-options.ts";

const EXPLANATION = `
Prints a script; it has what this release has, so make it anew after an upgrade.
  bash   nearside completion bash > ~/.local/share/bash-completion/completions/nearside
  zsh    nearside completion zsh > "\${fpath[1]}/_nearside"
  fish   nearside completion fish > ~/.config/fish/completions/nearside.fish
Exit codes: 0 done; 2 wrong arguments.`;

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** The program's other commands are configured by then. */
export function configure(command: Command): void {
  command
    .addArgument(new Argument("<shell>", "whose script").choices(Object.keys(SHELLS)))
    .addHelpText("after", EXPLANATION)
    .action((shell: keyof typeof SHELLS) => {
      const { parent } = command;
      if (parent !== null) print(SHELLS[shell](placesIn(parent)));
    });
}

interface Word {
  readonly text: string;
  readonly description: string;
}

/** Where one is in a command line: in the program, a command, or a part of one. */
interface Place {
  /** `""`, `relay` or `relay add`. */
  readonly path: string;
  /** Or values of an argument. */
  readonly commands: readonly Word[];
  readonly options: readonly CompletedOption[];
}

interface CompletedOption extends Word {
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

function placesIn(program: Command): Place[] {
  const places: Place[] = [];
  const visit = (command: Command, path: string) => {
    places.push({
      path,
      commands: [
        ...command.commands.map((one) => ({ text: one.name(), description: one.description() })),
        ...command.registeredArguments.flatMap(({ argChoices = [], description }) =>
          argChoices.map((text) => ({ text, description })),
        ),
      ],
      options: command.createHelp().visibleOptions(command).map(optionOf),
    });
    for (const one of command.commands) visit(one, `${path} ${one.name()}`.trim());
  };
  visit(program, "");
  return places;
}

function optionOf({ long, short, flags, description, required, optional }: Option): CompletedOption {
  const choices = /<([^>]*\|[^>]*)>/.exec(flags)?.[1]?.split("|") ?? [];
  return { text: long ?? short ?? "", description, takesValue: required || optional, choices };
}

/** For a shell's single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function casesOf(places: readonly Place[], linesOf: (place: Place) => string): string {
  return places.map((place) => `    ${quoted(place.path)})\n${linesOf(place)}      ;;\n`).join("");
}

/** What takes a value, so that this is not taken for a command. */
function valueOptions(places: readonly Place[]): string {
  const all = places.flatMap(({ path, options }) =>
    options.filter(({ takesValue }) => takesValue).map(({ text }) => quoted(`${path}:${text}`)),
  );
  return all.join("|");
}

function parents(places: readonly Place[]): string {
  return places.flatMap(({ path, commands }) => (path !== "" && commands.length > 0 ? [path] : [])).join("|");
}

/** Sets `place` from the words before the one that is completed. */
function findPlace(places: readonly Place[], word: string, first: number, end: string): string {
  return `  local place='' skip=0 index word
  for ((index = ${first}; index < ${end}; index++)); do
    word=${word}
    if ((skip)); then skip=0; continue; fi
    case $place:$word in
      ${valueOptions(places)}) skip=1 ;;
      *:-*) ;;
      *) case $place in '') place=$word ;; ${parents(places)}) place="$place $word" ;; esac ;;
    esac
  done
`;
}

function bashScript(places: readonly Place[]): string {
  const values = casesOf(places, ({ options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(({ text, choices }) => `      [[ $previous == ${text} ]] && words=${quoted(choices.join(" "))}\n`)
      .join(""),
  );
  const words = casesOf(places, ({ commands, options }) => {
    const all = [...commands, ...options].map(({ text }) => text);
    return `      words=${quoted(all.join(" "))}\n`;
  });
  return `# bash completion of nearside
_nearside() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} words=''
${findPlace(places, `\${COMP_WORDS[index]}`, 1, "COMP_CWORD")}  if ((skip)); then
    case $place in
${values}    esac
    if [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
    else local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current")); fi
    return
  fi
  case $place in
${words}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _nearside nearside`;
}

function zshScript(places: readonly Place[]): string {
  const described = ({ text, description }: Word) => quoted(`${text.replaceAll(":", "\\:")}:${description}`);
  const values = casesOf(places, ({ options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(
        ({ text, choices }) =>
          `      [[ $words[CURRENT-1] == ${text} ]] && { compadd -- ${choices.map(quoted).join(" ")}; return; }\n`,
      )
      .join(""),
  );
  const words = casesOf(
    places,
    ({ commands, options }) =>
      `      entries=(${commands.map(described).join(" ")})\n      settings=(${options.map(described).join(" ")})\n`,
  );
  return `#compdef nearside
_nearside() {
  local -a entries settings
${findPlace(places, "$words[index]", 2, "CURRENT")}  if ((skip)); then
    case $place in
${values}    esac
    _files
    return
  fi
  case $place in
${words}  esac
  [[ $words[CURRENT] == -* ]] || _describe command entries
  _describe option settings
}
if [[ $funcstack[1] == _nearside ]]; then _nearside "$@"; else compdef _nearside nearside; fi`;
}

function fishScript(places: readonly Place[]): string {
  const quotedFish = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const lines = places.flatMap(({ path, commands, options }) => {
    const where = quotedFish(fishCondition(path, commands));
    return [
      ...commands.map(
        ({ text, description }) =>
          `complete -c nearside -f -n ${where} -a ${quotedFish(text)} -d ${quotedFish(description)}`,
      ),
      ...options.map(({ text, description, takesValue, choices }) => {
        const value =
          choices.length > 0 ? ` -x -a ${quotedFish(choices.join(" "))}` : takesValue ? " -r" : "";
        const condition = quotedFish(fishCondition(path, []));
        return `complete -c nearside -n ${condition} -l ${text.replace(/^--/, "")}${value} -d ${quotedFish(description)}`;
      }),
    ];
  });
  return `# fish completion of nearside\n${lines.join("\n")}`;
}

/** @param commands - None of which has been typed yet. */
function fishCondition(path: string, commands: readonly Word[]): string {
  if (path === "") return "__fish_use_subcommand";
  const seen = path.split(" ").map((word) => `__fish_seen_subcommand_from ${word}`);
  const unseen = commands.map(({ text }) => text).join(" ");
  return [...seen, ...(unseen === "" ? [] : [`not __fish_seen_subcommand_from ${unseen}`])].join("; and ");
}
