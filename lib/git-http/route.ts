/** Which request of git's smart HTTP protocol a URL and method are. Source: gitprotocol-http(5). */

import { textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { isNameSegment } from "../repo/names.ts";

export const NO_CACHE_HEADERS = {
  expires: "Fri, 01 Jan 1980 00:00:00 GMT",
  pragma: "no-cache",
  "cache-control": "no-cache, max-age=0, must-revalidate",
} as const;

export type Route =
  | { readonly kind: "info-refs" | "upload-pack"; readonly workspace: string; readonly slug: string }
  | { readonly kind: "refused"; readonly response: HttpResponse };

const REQUEST_TYPE = "application/x-git-upload-pack-request";

export function routeOf(request: HttpRequest): Route {
  const [, workspacePart, slugPart, ...rest] = request.path.split("/");
  const workspace = decodeSegment(workspacePart);
  const slug = decodeSegment(slugPart)?.replace(/\.git$/, "");
  const isName =
    workspace !== undefined && slug !== undefined && isNameSegment(workspace) && isNameSegment(slug);
  if (!isName) return refused(404, "not found");
  const refusal = refusalOf(rest.join("/"), request);
  if (refusal !== undefined) return refusal;
  return { kind: rest.length === 2 ? "info-refs" : "upload-pack", workspace, slug };
}

function refusalOf(service: string, request: HttpRequest): Route | undefined {
  switch (service) {
    case "info/refs":
      return refusalOfInfoRefs(request);
    case "git-upload-pack":
      if (request.method !== "POST") return methodNotAllowed("POST");
      if (mediaType(request.headers["content-type"]) !== REQUEST_TYPE) {
        return refused(415, `expected content type ${REQUEST_TYPE}`);
      }
      return undefined;
    case "git-receive-pack":
      return request.method === "POST" ? readOnly() : methodNotAllowed("POST");
    default:
      return refused(404, "not found");
  }
}

function refusalOfInfoRefs({ method, query }: HttpRequest): Route | undefined {
  if (method !== "GET" && method !== "HEAD") return methodNotAllowed("GET, HEAD");
  const services = query.getAll("service");
  if (services.length === 1 && services[0] === "git-upload-pack") return undefined;
  if (services.length === 1 && services[0] === "git-receive-pack") return readOnly();
  if (services.length === 0) {
    return refused(
      403,
      "this server speaks git's smart HTTP protocol only: ask for ?service=git-upload-pack",
    );
  }
  return refused(403, "unsupported service");
}

function readOnly(): Route {
  return refused(403, "unsupported service: this is a read-only mirror, push to Bitbucket itself");
}

function methodNotAllowed(allow: string): Route {
  return refused(405, `method not allowed, use ${allow}`, { allow });
}

function refused(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Route {
  return { kind: "refused", response: textResponse(status, text, { ...NO_CACHE_HEADERS, ...headers }) };
}

/** @returns `undefined` for what is not percent-encoded UTF-8. */
function decodeSegment(segment: string | undefined): string | undefined {
  try {
    return segment === undefined ? undefined : decodeURIComponent(segment);
  } catch {
    return undefined; // URIError: the only one there is
  }
}

function mediaType(contentType: string | undefined): string | undefined {
  return contentType?.split(";")[0]?.trim().toLowerCase();
}
