/** `nearside client-config` */
import { type Command, InvalidArgumentError } from "commander";
import { AGENT } from "../../lib/config.ts";
import { UpstreamError } from "../../lib/errors.ts";
import {
  clientConfig,
  SETUP_OPTIONS,
  type SetupOption,
  USERNAME_HELP,
  USERNAME_PATTERN,
  usernameConfig,
} from "../../lib/pages/client-setup.ts";
import { addSettings } from "../wiring/setting-options.ts";
import { parseUrlArgument } from "./command-options.ts";

const EXPLANATION = `
Bitbucket's address is what the mirror names, unless --git-url or nearside.config.json has another.
To add them for one user:  nearside client-config https://mirror.example.com >> ~/.gitconfig
The mirror's own https://mirror.example.com/-/setup.sh adds the same lines, and takes them out again.`;

export function configure(command: Command): void {
  addSettings(command, ["gitUrl"]).argument("<mirror-url>", "the mirror's address", parseUrlArgument);
  for (const name of Object.keys(SETUP_OPTIONS) as SetupOption[])
    command.option(`--${name}`, SETUP_OPTIONS[name]);
  command.option("--username <name>", USERNAME_HELP, collectUsername, []);
  command.addHelpText("after", EXPLANATION).action(printConfig);
}

type Options = { readonly gitUrl: string } & { readonly [Name in SetupOption]?: true } & {
  readonly username: readonly string[];
};

const TIMEOUT_MS = 15_000;

/** What the mirror's own script would write. @throws {UpstreamError} It cannot be asked. */
async function primaryUrlOf(mirrorUrl: string): Promise<string> {
  const url = `${mirrorUrl.replace(/\/+$/, "")}/-/setup.sh`;
  const advice = "name Bitbucket's address with --git-url https://bitbucket.org";
  let text: string;
  try {
    const response = await fetch(url, {
      headers: { "user-agent": AGENT },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = response.ok ? await response.text() : `${response.status}`;
  } catch (error) {
    throw new UpstreamError(`the mirror at ${mirrorUrl} cannot be asked: ${advice}`, {
      retryable: false,
      cause: error,
    });
  }
  const primaryUrl = /^\tpushInsteadOf = (https?:\/\/\S+)\/$/m.exec(text)?.[1];
  if (primaryUrl !== undefined) return primaryUrl;
  throw new UpstreamError(`${url} is not a mirror's script: ${advice}`, { retryable: false });
}

function collectUsername(name: string, before: readonly string[]): string[] {
  if (!new RegExp(`^${USERNAME_PATTERN}$`).test(name))
    throw new InvalidArgumentError("Expected letters, digits, and ._%+-");
  return [...before, name];
}

async function printConfig(mirrorUrl: string, options: Options, command: Command): Promise<void> {
  const { gitUrl, username, ...chosen } = options;
  const isGiven = command.getOptionValueSource("gitUrl") !== "default";
  const setup = { mirrorUrl, primaryUrl: isGiven ? gitUrl : await primaryUrlOf(mirrorUrl) };
  const names = (Object.keys(SETUP_OPTIONS) as SetupOption[]).filter((name) => chosen[name]);
  const parts = [undefined, ...names].map((name) => clientConfig(setup, name));
  process.stdout.write(parts.concat(username.map((name) => usernameConfig(setup, name))).join(""));
}
