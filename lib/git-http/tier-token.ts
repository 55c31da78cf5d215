/**
 * Tokens by which a caller whom the mirror has let read one repository reads it at the stream tier. git does not send its credential there,
 * so the token is in the path that it is redirected to. Form: the grant as JSON in base64url, a dot, and its HMAC-SHA256 in base64url.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import * as z from "zod/mini";
import { CallerKeys } from "../auth/caller-keys.ts";
import { ConfigError } from "../errors.ts";
import { addressBlock } from "../http/address-block.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { namedPath } from "../repo/resolve-repository.ts";
import type { AllowedAccess } from "./access-decision.ts";

/** For `info/refs`, which git asks for at once after the redirect. */
const INFO_REFS_LIFETIME_MS = 60_000;
/** For starting a `git-upload-pack` request: between `info/refs` and its fetch, git downloads the bundles that it was offered. */
const FETCH_LIFETIME_MS = 3_600_000;

/** To be raised when a tier of an older release must not accept the tokens any more. */
const VERSION = 1;
const MIN_KEY_LENGTH = 32;
const CALLER_HEX_DIGITS = 32;

/** Whose request it is, and for what. */
export interface TierRequest {
  readonly repository: RepositoryReference;
  /** The caller's `Authorization` header, if there is one. */
  readonly authorization: string | undefined;
  /** The client's, as the server sees it. */
  readonly remoteAddress: string | undefined;
}

export type TierService = "info-refs" | "upload-pack";

export type TierTokenFault = "not-valid" | "expired" | "other-repository" | "other-caller" | "other-network";

/** Fields of a newer release are ignored: what must not be gets another version. */
const grantSchema = z.object({
  version: z.literal(VERSION),
  /** Of `info/refs`; of releases without the next one, of all. */
  expiresAtMs: z.number(),
  fetchExpiresAtMs: z.optional(z.number()),
  repository: z.string(),
  /** Of the credential, under the key that signs. */
  caller: z.string(),
  /** Where the caller is, by IPv4; missing: anywhere. */
  network: z.optional(z.string()),
  /** The same by IPv6. A request that comes by IPv4 is not held to it: the tier's load balancer speaks nothing else. */
  network6: z.optional(z.string()),
  primaryPath: z.optional(z.string()),
  plainPath: z.optional(z.string()),
  uuid: z.string(),
  staleSeconds: z.optional(z.number()),
});

type Grant = z.infer<typeof grantSchema>;

export class TierKeys {
  readonly #keys: readonly string[];
  readonly #bindsNetwork: boolean;

  /**
   * @param text - Keys of 32 characters at least, separated by commas. The first one signs, each is accepted.
   * @param bindsNetwork - Whether tokens are for the network of the caller's address only.
   * @throws {ConfigError}
   */
  constructor(text: string, bindsNetwork = true) {
    this.#bindsNetwork = bindsNetwork;
    this.#keys = text.split(",").map((key) => key.trim());
    if (this.#keys.some((key) => key.length < MIN_KEY_LENGTH))
      throw new ConfigError(
        `the stream tier's keys (NEARSIDE_STREAM_TIER_KEYS) must have ${MIN_KEY_LENGTH} characters at least; several are separated by commas`,
      );
  }

  /** @param decision - About this request; it names the repository. */
  sign(
    request: TierRequest,
    { primaryPath, plainPath, staleSeconds }: AllowedAccess,
    uuid: string,
    nowMs: number,
  ): string {
    const key = this.#keys[0] as string;
    const { network, network6 } = this.#bindsNetwork ? networksOf(request) : {};
    const grant: Grant = {
      version: VERSION,
      expiresAtMs: nowMs + INFO_REFS_LIFETIME_MS,
      fetchExpiresAtMs: nowMs + FETCH_LIFETIME_MS,
      repository: repositoryOf(request),
      caller: callerUnder(key, request),
      uuid,
      ...(network !== undefined && { network }),
      ...(network6 !== undefined && { network6 }),
      ...(primaryPath !== undefined && { primaryPath }),
      ...(plainPath !== undefined && { plainPath }),
      ...(staleSeconds !== undefined && { staleSeconds }),
    };
    const encoded = Buffer.from(JSON.stringify(grant)).toString("base64url");
    return `${encoded}.${macOf(key, encoded).toString("base64url")}`;
  }

  /** @returns The decision that the token was made for. */
  read(
    token: string,
    request: TierRequest & { readonly service: TierService },
    nowMs: number,
  ): AllowedAccess | TierTokenFault {
    const [encoded = "", mac = "", ...more] = token.split(".");
    const key = this.#keys.find((one) => isEqual(macOf(one, encoded), Buffer.from(mac, "base64url")));
    if (key === undefined || more.length > 0) return "not-valid";
    const grant = grantSchema.safeParse(JSON.parse(Buffer.from(encoded, "base64url").toString("utf8"))).data;
    if (grant === undefined) return "not-valid";
    const {
      version: _,
      expiresAtMs,
      fetchExpiresAtMs = expiresAtMs,
      repository,
      caller,
      network,
      network6,
      ...access
    } = grant;
    if (nowMs > (request.service === "info-refs" ? expiresAtMs : fetchExpiresAtMs)) return "expired";
    if (repository !== repositoryOf(request)) return "other-repository";
    const from = networksOf(request);
    if (network !== undefined && network !== from.network) return "other-network";
    if (network6 !== undefined && from.network === undefined && network6 !== from.network6)
      return "other-network";
    // git sends no credential after a redirect to another host. One that is sent all the same must be the caller's.
    const isOther = request.authorization !== undefined && caller !== callerUnder(key, request);
    return isOther ? "other-caller" : { kind: "allowed", ...access };
  }
}

function repositoryOf({ repository }: TierRequest): string {
  return `${repository.kind} ${namedPath(repository)}`;
}

/** The /24 of an IPv4 address, as a company may leave by several; of IPv6 the /64, which is one network. */
function networksOf({ remoteAddress }: TierRequest): { network?: string; network6?: string } {
  const block = addressBlock(remoteAddress, 4);
  if (isIPv4(block)) return { network: block.slice(0, block.lastIndexOf(".")) };
  return remoteAddress !== undefined && isIPv6(remoteAddress) ? { network6: block } : {};
}

function callerUnder(key: string, { authorization }: TierRequest): string {
  return new CallerKeys(key).callerKey(authorization).slice(0, CALLER_HEX_DIGITS);
}

function macOf(key: string, encoded: string): Buffer {
  return createHmac("sha256", key).update(`tier-token\n${encoded}`).digest();
}

function isEqual(expected: Buffer, actual: Buffer): boolean {
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
