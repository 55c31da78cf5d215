/** How Bitbucket signs a delivery: an HMAC over the body's bytes. Source: "Secure webhooks" in Bitbucket's support pages. */
import { createHmac, timingSafeEqual } from "node:crypto";

/** What webhooks are signed with is worked out of the mirror's secret, so that one workspace's signature is no other's. */
export function workspaceSecret(masterSecret: string, workspace: string): string {
  return createHmac("sha256", masterSecret).update(`webhook:${workspace.toLowerCase()}`).digest("hex");
}

export const SIGNATURE_PATTERN = /^sha256=([0-9a-fA-F]{64})$/;

/** @param header - `X-Hub-Signature`. */
export function isSigned(body: Uint8Array, secret: string, header: string | undefined): boolean {
  const [, hex] = SIGNATURE_PATTERN.exec(header?.trim() ?? "") ?? [];
  if (hex === undefined) return false;
  return timingSafeEqual(Buffer.from(hex, "hex"), createHmac("sha256", secret).update(body).digest());
}
