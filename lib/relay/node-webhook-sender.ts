/**
 * Sends webhooks by node:https. Not by `fetch`, which does not let the address be checked that it connects to: a name that was
 * checked before may resolve to another address by then.
 */
import { lookup as lookUpHost } from "node:dns";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { addressKind } from "../address-kind.ts";
import { DeliveryError } from "../errors.ts";
import type { SendWebhook, WebhookRequest } from "./ports.ts";

export interface NodeWebhookSenderOptions {
  /** Whether this machine is a place to send to, and by plain HTTP: not where others say what is sent, as on AWS. */
  readonly allowsLoopback: boolean;
  /** For the whole request. */
  readonly timeoutMs?: number;
  /** How names are resolved, in the manner of `dns.lookup`. */
  readonly lookup?: LookupFunction;
}

const DEFAULT_TIMEOUT_MS = 10_000;

export function nodeWebhookSender(options: NodeWebhookSenderOptions): SendWebhook {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  return async (request, signal) => {
    const url = URL.parse(request.url);
    if (url === null) throw new DeliveryError("the webhook's address is none");
    const isPlain = url.protocol === "http:";
    if (url.protocol !== "https:" && !(isPlain && options.allowsLoopback))
      throw new DeliveryError("a webhook's address has to begin with https://", { host: url.host });
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const isAllowed = (address: string) => isAddressAllowed(address, isPlain, request, options);
    // A name is checked once it is resolved.
    if (isIP(host) !== 0 && !isAllowed(host)) throw forbidden(host, host);
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      return await post(url, request, {
        signal: AbortSignal.any([signal, timeout]),
        lookup: checkedLookup(options.lookup ?? (lookUpHost as LookupFunction), isAllowed),
      });
    } catch (error) {
      if (error instanceof DeliveryError) throw error;
      const reason = timeout.aborted ? `gave no answer within ${timeoutMs} ms` : "cannot be reached";
      throw new DeliveryError(`the receiver ${reason}`, { host: url.host, cause: error });
    }
  };
}

function isAddressAllowed(
  address: string,
  isPlain: boolean,
  { allowsPrivate }: WebhookRequest,
  { allowsLoopback }: NodeWebhookSenderOptions,
): boolean {
  const kind = addressKind(address);
  if (kind === "loopback") return allowsLoopback;
  return !isPlain && (kind === "public" || (kind === "private" && allowsPrivate));
}

/** One address that is not allowed refuses the whole name: such a name is an attack, or a mistake. */
function checkedLookup(lookup: LookupFunction, isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, options, (error, result, family) => {
      const addresses = typeof result === "string" ? [result] : (result ?? []).map(({ address }) => address);
      const refused = addresses.find((address) => !isAllowed(address));
      callback(error ?? (refused === undefined ? null : forbidden(hostname, refused)), result, family);
    });
}

function forbidden(host: string, address: string): DeliveryError {
  const text =
    addressKind(address) === "private"
      ? "the receiver has a private address: add it with --private-addresses if that is meant"
      : "the receiver's address is none of the public Internet";
  return new DeliveryError(text, { host, address });
}

/** The answer's body is not read. */
function post(
  url: URL,
  { headers, body }: WebhookRequest,
  { signal, lookup }: { readonly signal: AbortSignal; readonly lookup: LookupFunction },
): Promise<number> {
  const bytes = Buffer.from(body);
  const send = url.protocol === "http:" ? requestHttp : requestHttps;
  return new Promise((resolve, reject) => {
    const outgoing = send(url, {
      method: "POST",
      headers: { ...headers, "content-length": bytes.length },
      agent: false,
      lookup,
      signal,
    });
    outgoing.once("error", reject);
    outgoing.once("response", (incoming) => {
      incoming.once("error", () => undefined);
      incoming.destroy();
      resolve(incoming.statusCode ?? 0);
    });
    outgoing.end(bytes);
  });
}
