/** The checks of `nearside doctor`: what each is about, why it fails, and the command that mends it. */

export interface DoctorCheck {
  readonly title: string;
  /** Of most failures. */
  readonly cause: string;
  /** With `<workspace>` where the finding names one. */
  readonly command: string;
  /** `--fix` does it: nothing can be lost by it. */
  readonly isFixable?: true;
}

/** By what a finding's name is, or ends with behind a workspace's name. */
export const DOCTOR_CHECKS = {
  store: {
    title: "the store does what the mirror needs",
    cause: "a mistyped --store, a missing right, or an S3 server without conditional writes",
    command: "nearside doctor --store <location>",
  },
  "config.json": {
    title: "config.json says what is mirrored",
    cause: "no workspace is connected, or the file was changed by hand",
    command: "nearside config check",
  },
  REST: {
    title: "Bitbucket's REST API accepts the account",
    cause: "a token that is wrong, has ended, or lacks read:repository:bitbucket; or a proxy",
    command: "nearside reconnect <workspace> --credential <name>",
  },
  token: {
    title: "the account's token does not end soon",
    cause: "tokens last a year at most",
    command: "nearside reconnect <workspace> --credential <name>",
  },
  clock: {
    title: "this machine's clock is right",
    cause: "no time service runs",
    command: "timedatectl set-ntp true",
  },
  scopes: {
    title: "the account has the scopes",
    cause: "the token was made without them",
    command: "nearside reconnect <workspace> --credential <name>",
  },
  git: {
    title: "Bitbucket's git server accepts the account",
    cause: "a proxy or firewall between this machine and Bitbucket",
    command: "git ls-remote https://bitbucket.org/<workspace>/<repository>.git",
  },
  webhook: {
    title: "Bitbucket's webhook is there, and as the mirror needs it",
    cause: "it was deleted or turned off at Bitbucket, or the account may not install it",
    command: "nearside sync <workspace>",
  },
  rounds: {
    title: "the mirror lists repositories regularly",
    cause: "it does not run, or Bitbucket rejects its account",
    command: "nearside sync <workspace>",
  },
  repositories: {
    title: "the last sync of each repository went well",
    cause: "Bitbucket failed for a while, or a repository cannot be mirrored",
    command: "nearside sync <workspace>",
    isFixable: true,
  },
  access: {
    title: "Bitbucket shows each selected repository to the account",
    cause: "the account has lost the right to a repository, or it was deleted or renamed",
    command: "nearside status --failed <workspace>",
  },
  LFS: {
    title: "Git LFS files are copied and can be fetched",
    cause: "a missing scope, or a link that clients do not reach",
    command: "nearside verify --lfs <workspace>",
  },
  mirror: {
    title: "the mirror's address answers",
    cause: "a proxy, a certificate or a firewall in front of it",
    command: "curl -i <address>/-/health",
  },
  "dead letters": {
    title: "no job has failed for good",
    cause: "an outage that lasted longer than five tries",
    command: "nearside dead-letters replay",
    isFixable: true,
  },
  queue: {
    title: "the queue of jobs can be asked",
    cause: "a mistyped address, or a missing right",
    command: "nearside doctor --queue-url <SyncQueueUrl>",
  },
  "dead letter queue": {
    title: "the queue of dead letters is empty",
    cause: "an outage that lasted longer than five tries",
    command:
      "nearside dead-letters replay --queue-url <SyncQueueUrl> --dead-letter-queue-url <DeadLetterQueueUrl>",
    isFixable: true,
  },
  relay: {
    title: "the mirror's own webhooks can be signed",
    cause: "their secret is not stored",
    command: "nearside relay remove <id>",
  },
} as const satisfies Record<string, DoctorCheck>;

export type DoctorCheckId = keyof typeof DOCTOR_CHECKS;

/**
 * @param name - Of a finding: `store: write`, `acme: REST`, `acme: LFS link`.
 * @returns `undefined` for checks before and after a deployment, whose advice says all.
 */
export function checkOf(name: string): DoctorCheckId | undefined {
  const [first = "", second = ""] = name.split(": ");
  // A workspace may be called as a check is.
  return [second, second.split(" ")[0], first, first.split(" ")[0]].find(
    (one): one is DoctorCheckId => one !== undefined && Object.hasOwn(DOCTOR_CHECKS, one),
  );
}

/** @returns The command that mends it, with the workspace that the finding is about. */
export function commandOf(name: string): string | undefined {
  const id = checkOf(name);
  if (id === undefined) return undefined;
  const [workspace = ""] = name.split(": ");
  // Commands of other checks name no workspace.
  return DOCTOR_CHECKS[id].command.replace("<workspace>", workspace);
}
