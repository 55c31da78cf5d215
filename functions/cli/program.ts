/** All commands together. */
import { Command, CommanderError } from "commander";
import { AGENT } from "../../lib/config.ts";
import { EXIT_FINDINGS, exitCodeOf, explainWithCode, Findings, GitFailed, Stopped } from "./explain.ts";
import { wrapHelp } from "./help-text.ts";

interface CommandModule {
  /** Adds arguments, options and action. */
  readonly configure: (command: Command) => void;
}

/** In the order of the help. Only the command that is called for is loaded. */
const COMMANDS: Readonly<Record<string, readonly [summary: string, load: () => Promise<CommandModule>]>> = {
  serve: ["run the mirror: serve git, and synchronize with Bitbucket", () => import("./serve.ts")],
  demo: ["run a sample: a small Bitbucket Cloud on this machine, and its mirror", () => import("./demo.ts")],
  status: ["show what is mirrored, and the state of each repository", () => import("./status.ts")],
  connect: ["add a workspace of Bitbucket, after a check of its account", () => import("./workspace.ts")],
  select: ["choose which repositories of a workspace are mirrored", () => import("./select.ts")],
  sync: ["synchronize with Bitbucket, now", () => import("./sync.ts")],
  reconcile: [
    "show which repositories Bitbucket does not list any more, or say that they were deleted",
    () => import("./reconcile.ts"),
  ],
  verify: ["compare the mirror with Bitbucket", () => import("./verify.ts")],
  export: ["write a repository as a bare git repository", () => import("./export.ts")],
  pause: ["stop serving and synchronizing a workspace, and keep its data", () => import("./workspace.ts")],
  resume: ["serve and synchronize a paused workspace again", () => import("./workspace.ts")],
  remove: [
    "stop mirroring a workspace, and delete its data after the retention time",
    () => import("./workspace.ts"),
  ],
  reconnect: ["give a workspace another account, after a check of it", () => import("./workspace.ts")],
  relay: ["manage the webhooks that get an event after each publish", () => import("./relay-webhooks.ts")],
  lfs: ["delete a Git LFS file from the mirror", () => import("./lfs.ts")],
  config: ["check the configuration files, or print the schema of config.json", () => import("./config.ts")],
  "dead-letters": ["list or replay jobs that failed for good", () => import("./dead-letters.ts")],
  clone: ["clone a repository from a mirror with the mirror's indexes", () => import("./clone.ts")],
  fetch: ["fetch into a clone what a mirror has got since, with its indexes", () => import("./fetch.ts")],
  wait: ["wait until the mirror has a branch, a tag or a commit", () => import("./wait.ts")],
  "client-config": [
    "print the git configuration that makes clients read from the mirror",
    () => import("./client-config.ts"),
  ],
  completion: [
    "print a script that completes commands in bash, zsh or fish",
    () => import("./completion.ts"),
  ],
  errors: ["say what error codes mean", () => import("./errors.ts")],
  deploy: ["deploy the mirror to AWS, or show what a deployment would change", () => import("./deploy.ts")],
  doctor: ["check what the mirror needs, and say what to do next", () => import("./doctor.ts")],
};

const EXPLANATION = `
--store names the mirror's store: a folder, or s3://bucket/prefix for a bucket, such as that of a deployed mirror. AWS
credentials come from the AWS SDK's usual places.

Accounts at Bitbucket are named, as in config.json. Their secrets:
  NEARSIDE_SECRET_<NAME>   in the environment, as JSON: {"email": "…", "token": "…"} or {"token": "…"}
  environment              this name means BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or BITBUCKET_ACCESS_TOKEN
  --secret-path <path>     the SSM parameter <path>accounts/<name> instead, where a deployed mirror reads it

Examples:
  nearside connect acme --credential environment
  nearside select acme --project CORE --include "tools-*" --exclude "*-archive"
  nearside status --store s3://acme-mirror --watch

Exit codes: 0 done; 1 failed; 2 wrong arguments or settings; 3 done, with findings: a repository that failed or differs,
a check that failed; 130 ended by Ctrl-C.`;

const OUTPUT = {
  writeOut: (text: string) => {
    process.stdout.write(wrapHelp(text));
  },
  outputError: (text: string, write: (text: string) => void) =>
    write(text.replace(/^(error: .*)/, "$1 [ARGUMENTS]")),
};

/** @param asked - The command whose options and arguments are loaded; those of the others stay unknown. */
export async function nearsideProgram(asked: string | undefined): Promise<Command> {
  const program = new Command("nearside")
    .description("Operates a mirror of Bitbucket Cloud.")
    .version(AGENT)
    .addHelpText("after", EXPLANATION);
  for (const [name, [summary, load]] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(summary);
    // Completion is made from all commands.
    if (name === asked || asked === "completion") (await load()).configure(command);
    for (const one of [command, ...command.commands]) one.exitOverride().configureOutput(OUTPUT);
  }
  return program.exitOverride().configureOutput(OUTPUT);
}

/** @returns The exit code; errors are written to standard error. */
export async function runNearside(argv: readonly string[]): Promise<number> {
  const asked = argv.filter((argument) => argument !== "help" && !argument.startsWith("-"))[0];
  try {
    await (await nearsideProgram(asked)).parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    // Commander has printed the error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof Findings) return EXIT_FINDINGS;
    if (error instanceof GitFailed) return error.exitCode;
    if (error instanceof Stopped) {
      process.stderr.write(`nearside: ${error.message}\n`);
      return error.exitCode;
    }
    process.stderr.write(`nearside: ${explainWithCode(error)}\n`);
    return exitCodeOf(error);
  }
}
