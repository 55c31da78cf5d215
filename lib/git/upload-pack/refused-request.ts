/** A request that can be read but not be answered. */
import { type ErrorDetails, ProtocolError } from "../../errors.ts";
import { encodePktLine } from "../pktline.ts";

/** Its message goes to the client in an ERR packet, which git shows; any other error ends in a status. */
export class RefusedRequestError extends ProtocolError {}

/** It names what is not here; the primary may have it by now. */
export class NotHereError extends RefusedRequestError {
  /** A ref or an id. */
  readonly missing: string;

  constructor(message: string, { missing, ...details }: ErrorDetails & { readonly missing: string }) {
    super(message, details);
    this.missing = missing;
  }
}

export function errPacket({ message }: RefusedRequestError): Uint8Array {
  return encodePktLine(`ERR ${message}`);
}
