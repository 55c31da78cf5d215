/**
 * Whether a form was sent by a page of this server. Cookies are SameSite=Strict; this also keeps other sites from signing a visitor in
 * as someone else. Sources: Fetch Metadata; RFC 6454, section 7.
 */
import type { HttpRequest } from "../http/message.ts";

export function isSameOrigin({ headers }: HttpRequest): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin";
  // Every browser sends it with a POST. Only the host is compared: a proxy may have ended TLS.
  const origin = URL.parse(headers["origin"] ?? "");
  return origin !== null && origin.host !== "" && origin.host === headers["host"]?.toLowerCase();
}
