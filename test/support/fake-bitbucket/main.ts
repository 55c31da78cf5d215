/** Runs the fake Bitbucket Cloud: `npm run fake-bitbucket -- --repos <folder>`. */
import { Command, InvalidArgumentError } from "commander";
import { readAccountsFile } from "./accounts.ts";
import { type FakeBitbucket, startFakeBitbucket } from "./fake-bitbucket.ts";

interface Arguments {
  readonly repos: string;
  readonly port: number;
  readonly json?: true;
  readonly callers?: string;
  readonly webhookUrl?: string;
  readonly webhookSecret?: string;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError("A port is a whole number from 0 to 65535.");
  }
  return port;
}

const EXPLANATION = `
Without --callers, everything is public and developer:developer may push (REST: developer@example.com:developer).
A callers file:
  { "callers": [{ "name": "ada", "token": "secret", "rights": { "acme": "write", "acme/vault": "none" } }],
    "repositories": { "acme/site": { "public": true, "project": "WEB" } } }
Rights: none, read, write, admin. Keys: workspace/slug, workspace or *.
Switches to misbehave, at run time:
  curl -X PUT -d '{"delayMs":500}' <url>/-/controls     GET shows them all; GET <url>/-/requests shows what came in
  curl -X PUT -d '{"locks":true}' <url>/-/lfs           the same for git-lfs: locks, links that expire, cuts, wrong bytes, speed`;

const command = new Command("fake-bitbucket")
  .description("Serves every <folder>/<workspace>/<slug>.git as a small Bitbucket Cloud, on 127.0.0.1 only.")
  .requiredOption("--repos <folder>", "the folder that holds <workspace>/<slug>.git")
  .option("--port <number>", "where to listen; 0 picks a free port", parsePort, 0)
  .option("--json", "print one JSON object with the URLs when ready")
  .option("--callers <file>", "who may do what (JSON)")
  .option("--webhook-url <url>", "send every push to this URL")
  .option("--webhook-secret <secret>", "sign those webhooks")
  .addHelpText("after", EXPLANATION);

async function start({ repos, port, callers, webhookUrl, webhookSecret }: Arguments): Promise<FakeBitbucket> {
  const webhook = webhookUrl && { url: webhookUrl, ...(webhookSecret ? { secret: webhookSecret } : {}) };
  return startFakeBitbucket({
    repositoriesFolder: repos,
    port,
    ...(callers ? { accounts: await readAccountsFile(callers) } : {}),
    ...(webhook ? { webhook } : {}),
  });
}

const options = command.parse().opts<Arguments>();
const fake = await start(options).catch((error: Error) => command.error(`error: ${error.message}`));
const { url, gitUrl, apiUrl } = fake;
console.log(
  options.json
    ? JSON.stringify({ url, gitUrl, apiUrl })
    : `Fake Bitbucket Cloud is ready.\n  git   ${gitUrl}/<workspace>/<slug>.git\n  REST  ${apiUrl}\nCtrl-C ends it.`,
);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    fake.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}
