/** To whom a request counts, where callers share what a process has. */
import { createHmac, createSecretKey, randomBytes } from "node:crypto";
import { accountOf, credentialText } from "./auth/caller-keys.ts";
import { addressBlock } from "./http/address-block.ts";
import type { HttpRequest } from "./http/message.ts";
import type { TaskGroup } from "./http/running-tasks.ts";

/** The names mean something in this process only. */
export interface RequestCaller {
  /**
   * Of the account at an address block: any name may be claimed with a token, so it counts with the address only. Of the token where
   * the credential names no account, and of the block where there is none.
   */
  readonly name: string;
  /** Of the token, wherever it comes from and with whatever name. */
  readonly token: string | undefined;
  readonly block: string;
}

/** Names that Bitbucket takes with tokens of any account. */
const ACCOUNTLESS = /^x-|^$/;

export type CallerOf = (request: Pick<HttpRequest, "headers" | "remoteAddress">) => RequestCaller;

export function requestCallers(): CallerOf {
  const secret = createSecretKey(randomBytes(32));
  const keyOf = (text: string): string => createHmac("sha256", secret).update(text).digest("base64");
  return ({ headers: { authorization }, remoteAddress }) => {
    const block = addressBlock(remoteAddress);
    if (authorization === undefined) return { name: block, token: undefined, block };
    const account = accountOf(authorization);
    const text = credentialText(authorization);
    const token = keyOf(`token\n${text.slice(account.length) || text}`);
    const name = ACCOUNTLESS.test(account) ? token : keyOf(`account\n${account.toLowerCase()}\n${block}`);
    return { name, token, block };
  };
}

export interface GroupLimits {
  readonly ofToken: Omit<TaskGroup, "key">;
  /** All of a company may come from one address. */
  readonly ofBlock: Omit<TaskGroup, "key">;
}

export function groupsOf({ token, block }: RequestCaller, { ofToken, ofBlock }: GroupLimits): TaskGroup[] {
  return [...(token === undefined ? [] : [{ key: token, ...ofToken }]), { key: block, ...ofBlock }];
}
