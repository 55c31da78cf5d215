/** All commands together. */
import { Command, CommanderError } from "commander";
import { AGENT } from "../../lib/config.ts";
import { connectCommand } from "./connect.ts";
import { deadLettersCommand } from "./dead-letters.ts";
import { doctorCommand } from "./doctor.ts";
import { EXIT_FINDINGS, exitCodeOf, explain, Findings } from "./explain.ts";
import { exportCommand } from "./export.ts";
import { pauseCommand, resumeCommand } from "./pause.ts";
import { reconnectCommand } from "./reconnect.ts";
import { relayCommand } from "./relay.ts";
import { removeCommand } from "./remove.ts";
import { selectCommand } from "./select.ts";
import { statusCommand } from "./status.ts";
import { syncCommand } from "./sync.ts";
import { verifyCommand } from "./verify.ts";

const COMMANDS = [
  statusCommand,
  connectCommand,
  selectCommand,
  syncCommand,
  verifyCommand,
  exportCommand,
  pauseCommand,
  resumeCommand,
  removeCommand,
  reconnectCommand,
  relayCommand,
  deadLettersCommand,
  doctorCommand,
];

const EXPLANATION = `
Where the mirror lies is said by --store: a folder, or s3://bucket/prefix for a bucket, that of a deployed mirror among them. AWS
credentials come from where the AWS SDK finds them.

Accounts at Bitbucket are named, as config.json does it. Where the secret is:
  NEARSIDE_SECRET_<NAME>   in the environment, as JSON: {"email": "…", "token": "…"} or {"token": "…"}
  environment              this name means BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or BITBUCKET_ACCESS_TOKEN
  --secret-path <path>     the SSM parameter <path><name> instead, where a deployed mirror reads it

Examples:
  npx nearside connect acme --credential environment
  npx nearside select acme --project CORE --include "tools-*" --exclude "*-archive"
  npx nearside status --store s3://acme-mirror --watch

Exit codes: 0 done; 1 failed; 2 wrong arguments or settings; 3 done, and something is not as it should be: a repository that
failed or differs, a check that found something; 130 ended by Ctrl-C.`;

/** @returns The exit code; what went wrong is on standard error by then. */
export async function runNearside(argv: readonly string[]): Promise<number> {
  const program = new Command("nearside")
    .description("Runs a mirror of Bitbucket Cloud: what is mirrored, how it is, and what to do about it.")
    .version(AGENT)
    .addHelpText("after", EXPLANATION);
  for (const make of COMMANDS) {
    const command = make().exitOverride();
    for (const part of command.commands) part.exitOverride();
    program.addCommand(command);
  }
  try {
    await program.exitOverride().parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    // It has said itself what is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof Findings) return EXIT_FINDINGS;
    process.stderr.write(`nearside: ${explain(error)}\n`);
    return exitCodeOf(error);
  }
}
