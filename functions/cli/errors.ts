/** `nearside errors` */
import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { print } from "./command-options.ts";
import { ERROR_CODES, errorCode } from "./error-codes.ts";
import { printJson } from "./print-json.ts";
import { formatTable } from "./table.ts";

const EXPLANATION = `
Commands print the code behind the message, nearside status and the JSON API have it as "code". States of repositories that need attention
are codes, too. Codes stay the same in later releases; messages may change. Other codes in capitals that begin with E are the operating system's.
Exit codes: 0 done; 2 wrong arguments, or no such code.`;

export function configure(command: Command): void {
  command
    .argument("[code]", "all unless given")
    .option("--json", "print JSON")
    .addHelpText("after", EXPLANATION)
    .action(errors);
}

function errors(asked: string | undefined, { json }: { readonly json?: true }): void {
  const codes = asked === undefined ? ERROR_CODES : [asked];
  const described = codes.map(meaningOf);
  if (json) printJson("error-codes", described);
  else if (asked === undefined)
    print(
      formatTable(
        ["code", "meaning"],
        described.map(({ code, meaning }) => [code, meaning]),
      ),
    );
  else for (const { code, meaning, next } of described) print(`${code}: ${meaning}\n  ${next}`);
}

function meaningOf(asked: string) {
  const code = ERROR_CODES.find((one) => one.toLowerCase() === asked.toLowerCase());
  const found = code === undefined ? undefined : errorCode(code);
  if (code === undefined || found === undefined)
    throw new ConfigError(
      `there is no code ${asked}: nearside errors lists all; the other states of repositories are explained by nearside status --help`,
    );
  return { code, ...found };
}
