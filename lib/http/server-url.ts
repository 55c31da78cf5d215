/** Where a client has reached this server. It is not where the server listens if there is a proxy between, or a name. */
import type { HttpRequest } from "./message.ts";

/** A name or an address, perhaps with a port. */
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** @returns As the request says, so only for what its sender gets; `undefined` if it does not say so. */
export function serverUrlOf({ headers, basePath = "" }: HttpRequest): string | undefined {
  const { host = "", "x-forwarded-proto": forwarded = "" } = headers;
  if (!HOST.test(host)) return undefined;
  return `${forwarded.split(",", 1)[0]?.trim().toLowerCase() === "https" ? "https" : "http"}://${host}${basePath}`;
}
