/** The deployment over a fake Bitbucket with the private repository `acme/sample`, mirrored as people would: by reconcile and webhooks. */
import { setTimeout as sleep } from "node:timers/promises";
import { type CredentialHelper, makeCredentialHelper } from "../credential-helper.ts";
import { stableUuid } from "../fake-bitbucket/catalogue.ts";
import { type Primary, type PrimaryOptions, startPrimary } from "../primary.ts";
import { ACCOUNT_TOKEN, TOKENS } from "../test-credentials.ts";
import { type AwsFront, type AwsFrontOptions, startAwsFront } from "./aws-front.ts";

export interface DeployedAcme extends AsyncDisposable {
  readonly primary: Primary;
  readonly front: AwsFront;
  readonly uuid: string;
  /** Of the mirrored repository. */
  readonly url: string;
  /** Wanda's, who may write: for git's command line. */
  readonly credentials: CredentialHelper;
  /** A request below the API's stage, by Wanda. */
  ask(path: string): Promise<Response>;
  /** Waits until no job is in a queue or running. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** The queues' by their ids in the template. */
export const QUEUES = ["SyncQueue", "LfsQueue", "RelayQueue"] as const;

const SETTLED_LOOKS = 3;

export async function startDeployedAcme(
  options: Omit<AwsFrontOptions, "folder"> & PrimaryOptions,
): Promise<DeployedAcme> {
  const { make } = options;
  // Bitbucket's ten seconds are short for a process that starts on a busy machine.
  const primary = await startPrimary({ ...(make && { make }), webhookTimeoutMs: 100_000 });
  const { gitUrl, apiUrl, controls } = primary.fake;
  controls.replaceAccounts({
    callers: [
      { name: "bot", token: ACCOUNT_TOKEN, rights: { acme: "admin" } },
      { name: "wanda", token: TOKENS.wanda, rights: { acme: "write" } },
    ],
    repositories: {},
  });
  const front = await startAwsFront({
    takesJobs: true,
    ...options,
    folder: primary.folder,
    settings: { gitUrl, apiUrl, ...options.settings },
  });
  const wanda = { username: "wanda", password: TOKENS.wanda };
  const credentials = await makeCredentialHelper(primary.folder, {
    [new URL(front.url).host]: wanda,
    [new URL(gitUrl).host]: wanda,
  });
  const authorization = `Basic ${btoa(`wanda:${TOKENS.wanda}`)}`;
  async function settled(): Promise<void> {
    for (let quiet = 0; quiet < SETTLED_LOOKS; quiet++) {
      const counts = await Promise.all(QUEUES.map((name) => front.queues.count(name)));
      if (counts.some((count) => count > 0)) quiet = -1;
      await sleep(100);
    }
  }
  async function close(): Promise<void> {
    await front.close();
    await primary.close();
  }
  return {
    ...{ primary, front, credentials, settled, close },
    uuid: stableUuid("repository", "acme/sample"),
    url: `${front.url}/acme/sample.git`,
    ask: (path) => fetch(front.url + path, { headers: { authorization }, redirect: "manual" }),
    [Symbol.asyncDispose]: close,
  };
}
