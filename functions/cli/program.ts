/** All commands together. */
import { Command, CommanderError } from "commander";
import { AGENT } from "../../lib/config.ts";
import { EXIT_FINDINGS, exitCodeOf, explain, Findings } from "./explain.ts";

interface CommandEntry {
  readonly summary: string;
  /** @returns A function that adds arguments, options and the action. Loaded for the running command only: most need an AWS SDK. */
  readonly load: () => Promise<(command: Command) => void>;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  serve: {
    summary: "run the mirror: serve git, and synchronize with Bitbucket",
    load: async () => (await import("./serve.ts")).serveCommand,
  },
  demo: {
    summary: "run a sample: a small Bitbucket Cloud on this machine, and its mirror",
    load: async () => (await import("./demo.ts")).demoCommand,
  },
  status: {
    summary: "show what is mirrored, and the state of each repository",
    load: async () => (await import("./status.ts")).statusCommand,
  },
  connect: {
    summary: "add a workspace of Bitbucket, after a check of its account",
    load: async () => (await import("./workspace.ts")).connectCommand,
  },
  select: {
    summary: "choose which repositories of a workspace are mirrored",
    load: async () => (await import("./select.ts")).selectCommand,
  },
  sync: {
    summary: "synchronize with Bitbucket, now",
    load: async () => (await import("./sync.ts")).syncCommand,
  },
  reconcile: {
    summary: "show or accept removals that are held back",
    load: async () => (await import("./reconcile.ts")).reconcileCommand,
  },
  verify: {
    summary: "compare the mirror with Bitbucket",
    load: async () => (await import("./verify.ts")).verifyCommand,
  },
  export: {
    summary: "write a repository as a bare git repository",
    load: async () => (await import("./export.ts")).exportCommand,
  },
  pause: {
    summary: "stop serving and synchronizing a workspace, and keep its data",
    load: async () => (await import("./workspace.ts")).pauseCommand,
  },
  resume: {
    summary: "serve and synchronize a paused workspace again",
    load: async () => (await import("./workspace.ts")).resumeCommand,
  },
  remove: {
    summary: "stop mirroring a workspace, and delete its data after the retention time",
    load: async () => (await import("./workspace.ts")).removeCommand,
  },
  reconnect: {
    summary: "give a workspace another account, after a check of it",
    load: async () => (await import("./workspace.ts")).reconnectCommand,
  },
  relay: {
    summary: "manage the webhooks that get an event after each publish",
    load: async () => (await import("./relay-webhooks.ts")).relayCommand,
  },
  lfs: {
    summary: "delete a Git LFS file from the mirror",
    load: async () => (await import("./lfs.ts")).lfsCommand,
  },
  config: {
    summary: "check the configuration files, or print the schema of config.json",
    load: async () => (await import("./config.ts")).configCommand,
  },
  "dead-letters": {
    summary: "list or replay jobs that failed for good",
    load: async () => (await import("./dead-letters.ts")).deadLettersCommand,
  },
  wait: {
    summary: "wait until the mirror has a branch, a tag or a commit",
    load: async () => (await import("./wait.ts")).waitCommand,
  },
  "client-config": {
    summary: "print the git configuration that makes clients read from the mirror",
    load: async () => (await import("./client-config.ts")).clientConfigCommand,
  },
  deploy: {
    summary: "deploy the mirror to AWS, or show what a deployment would change",
    load: async () => (await import("./deploy.ts")).deployCommand,
  },
  doctor: {
    summary: "check what the mirror needs, and say what to do next",
    load: async () => (await import("./doctor.ts")).doctorCommand,
  },
};

const EXPLANATION = `
--store names the mirror's store: a folder, or s3://bucket/prefix for a bucket, such as that of a deployed mirror. AWS
credentials come from the AWS SDK's usual places.

Accounts at Bitbucket are named, as in config.json. Their secrets:
  NEARSIDE_SECRET_<NAME>   in the environment, as JSON: {"email": "…", "token": "…"} or {"token": "…"}
  environment              this name means BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or BITBUCKET_ACCESS_TOKEN
  --secret-path <path>     the SSM parameter <path><name> instead, where a deployed mirror reads it

Examples:
  npx nearside connect acme --credential environment
  npx nearside select acme --project CORE --include "tools-*" --exclude "*-archive"
  npx nearside status --store s3://acme-mirror --watch

Exit codes: 0 done; 1 failed; 2 wrong arguments or settings; 3 done, with findings: a repository that failed or differs,
a check that failed; 130 ended by Ctrl-C.`;

/** @returns The exit code; errors are written to standard error. */
export async function runNearside(argv: readonly string[]): Promise<number> {
  const program = new Command("nearside")
    .description("Operates a mirror of Bitbucket Cloud.")
    .version(AGENT)
    .addHelpText("after", EXPLANATION);
  const asked = argv.filter((argument) => argument !== "help" && !argument.startsWith("-"))[0];
  try {
    for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
      const command = program.command(name).description(summary);
      if (name === asked) (await load())(command);
      for (const one of [command, ...command.commands]) one.exitOverride();
    }
    await program.exitOverride().parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    // Commander has printed the error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof Findings) return EXIT_FINDINGS;
    process.stderr.write(`nearside: ${explain(error)}\n`);
    return exitCodeOf(error);
  }
}
