/** When the mirror's tokens end. Bitbucket's API tokens last a year at most, and it does not say when one ends: the account's secret does. */
import type { Logger } from "../log.ts";
import type { BitbucketAccount, BitbucketCredential } from "./credential.ts";

const WARNING_DAYS = 30;
const DAY_MS = 86_400_000;

export interface TokenExpiry {
  readonly expires: string;
  /** Negative: it has ended. `undefined`: `expires` is no date. */
  readonly daysLeft: number | undefined;
  readonly isSoon: boolean;
}

/** @returns That of the credential which ends last; `undefined` where it is not known. */
export function tokenExpiry(account: BitbucketAccount, nowMs: number): TokenExpiry | undefined {
  if (account.kind === "none") return undefined;
  const first = credentialExpiry(account, nowMs);
  const second = account.second && credentialExpiry(account.second, nowMs);
  if (account.second === undefined || first === undefined) return first;
  return second === undefined || (second.daysLeft ?? -1) > (first.daysLeft ?? -1) ? second : first;
}

function credentialExpiry({ expires }: BitbucketCredential, nowMs: number): TokenExpiry | undefined {
  if (expires === undefined) return undefined;
  const endMs = /^\d{4}-\d{2}-\d{2}$/.test(expires) ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(endMs)) return { expires, daysLeft: undefined, isSoon: true };
  const daysLeft = Math.floor((endMs - nowMs) / DAY_MS);
  return { expires, daysLeft, isSoon: daysLeft <= WARNING_DAYS };
}

/** As the configuration has it. */
interface AccountedWorkspace {
  readonly workspace: string;
  readonly credential?: string | undefined;
}

interface ReportExpiryOptions<Workspace extends AccountedWorkspace> {
  readonly accountOf: (workspace: Workspace) => Promise<BitbucketAccount>;
  readonly log: Logger;
  readonly now?: () => Date;
}

/** @returns Logs and counts a workspace's token that ends soon. */
export function reportExpiry<Workspace extends AccountedWorkspace>({
  accountOf,
  log,
  now = () => new Date(),
}: ReportExpiryOptions<Workspace>) {
  return async (workspace: Workspace): Promise<void> => {
    const expiry = tokenExpiry(await accountOf(workspace), now().getTime());
    if (!expiry?.isSoon) return;
    const { expires, daysLeft } = expiry;
    const { workspace: name, credential } = workspace;
    log.warn("account:token-ends", { workspace: name, credential, expires, daysLeft }, { TokensEnding: 1 });
  };
}
