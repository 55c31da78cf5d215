/** The server's certificate and key, from files that a renewal replaces while it runs. */
import { readFile, stat } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { ConfigError } from "../../lib/errors.ts";
import type { NodeServer, TlsIdentity } from "../../lib/http/node-server.ts";
import { delay } from "./delay.ts";

export interface TlsFiles {
  readonly tlsCertificate?: string | undefined;
  readonly tlsKey?: string | undefined;
}

const LOOK_EVERY_MS = 60_000;

/**
 * @returns `undefined` for a server without TLS.
 * @throws {ConfigError} One file is missing in the settings, or they do not belong together. @throws What node:fs throws.
 */
export async function readTlsFiles({ tlsCertificate, tlsKey }: TlsFiles): Promise<TlsIdentity | undefined> {
  if (tlsCertificate === undefined && tlsKey === undefined) return undefined;
  if (tlsCertificate === undefined || tlsKey === undefined)
    throw new ConfigError("TLS needs both files: set tlsCertificate and tlsKey");
  const [cert, key] = await Promise.all([readFile(tlsCertificate, "utf8"), readFile(tlsKey, "utf8")]);
  const identity = { cert, key };
  try {
    createSecureContext(identity);
  } catch (error) {
    throw new ConfigError("tlsCertificate and tlsKey must be a certificate and its private key in PEM", {
      tlsCertificate,
      tlsKey,
      cause: error,
    });
  }
  return identity;
}

/** Has the server use renewed files within a minute, until `stop` aborts. @param onFailed - Gets why the earlier ones stay in use. */
export async function renewTls(
  files: TlsFiles,
  server: Pick<NodeServer, "renewTls">,
  { stop, onFailed, everyMs = LOOK_EVERY_MS }: RenewOptions,
): Promise<void> {
  let seen = await changeTimes(files);
  while (!stop.aborted) {
    await delay(everyMs, stop);
    try {
      const now = await changeTimes(files);
      if (now === seen) continue;
      const identity = await readTlsFiles(files);
      if (identity !== undefined) server.renewTls(identity);
      seen = now;
    } catch (error) {
      onFailed(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

interface RenewOptions {
  readonly stop: AbortSignal;
  readonly onFailed: (error: Error) => void;
  readonly everyMs?: number;
}

async function changeTimes({ tlsCertificate = "", tlsKey = "" }: TlsFiles): Promise<string> {
  const stats = await Promise.all([stat(tlsCertificate), stat(tlsKey)]);
  return stats.map(({ mtimeMs }) => mtimeMs).join();
}
