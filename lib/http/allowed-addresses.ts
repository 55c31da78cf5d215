/** Lets requests from some addresses in, and no others. API Gateway does the same by its resource policy. */
import { type AddressRange, addressMatcher } from "../address-ranges.ts";
import { textResponse } from "./error-response.ts";
import type { HttpHandler } from "./message.ts";

/** @param ranges - None: no limit. */
export function onlyFrom(ranges: readonly AddressRange[], handler: HttpHandler): HttpHandler {
  if (ranges.length === 0) return handler;
  const isAllowed = addressMatcher(ranges);
  return async (request) =>
    request.remoteAddress !== undefined && isAllowed(request.remoteAddress)
      ? handler(request)
      : textResponse(403, "this mirror does not serve your address");
}
