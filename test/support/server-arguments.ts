/** The server's arguments, as `nearside serve` reads them. */
import { Command } from "commander";
import { type Arguments, serverArguments, serverOptions } from "../../functions/local/arguments.ts";

export function parseServerArguments(argv: readonly string[]): Arguments {
  const command = serverOptions(new Command("serve")).action(() => undefined);
  return serverArguments(command.exitOverride().parse(argv, { from: "user" }));
}
