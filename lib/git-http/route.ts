/** Which request of git's smart HTTP protocol a URL and method are. Source: gitprotocol-http(5). */

import { notFoundResponse, textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { mediaType } from "../media-type.ts";
import { isBracedUuid } from "../repo/layout.ts";
import { isNameSegment, type RepositoryReference } from "../repo/names.ts";

export const NO_CACHE_HEADERS = {
  expires: "Fri, 01 Jan 1980 00:00:00 GMT",
  pragma: "no-cache",
  "cache-control": "no-cache, max-age=0, must-revalidate",
} as const;

export type Service = "info-refs" | "upload-pack" | "receive-pack" | "lfs" | "status" | "wait" | "clone-plan";

export type Route =
  | { readonly kind: Service; readonly repository: RepositoryReference }
  | { readonly kind: "refused"; readonly response: HttpResponse };

const REQUEST_TYPE = "application/x-git-upload-pack-request";

/**
 * What may follow the repository in a path. Slashes too many are read as one, here and below: configurations and clients
 * make them of an address that ends with one, and GitHub takes them.
 */
const SERVICE_PATTERN = /^(.*)\/(info\/refs|git-upload-pack|git-receive-pack)$/;

/** git-lfs has its own protocol below `info/lfs`, where ids of locks may look like anything. */
const LFS_PATTERN = /^((?:\/+[^/]+){2,3}?)\/+info\/(lfs\/.+)$/;

/** Of the mirror's own addresses, apart from git's: no workspace has this name. */
const OWN_FOLDER = "-";

const STATUS_PATTERN = /^\/+-\/+repositories((?:\/+[^/]+){2,3})\/+(status|wait|clone-plan)\/*$/;

/** Before a project's key: Smart Mirroring for Cloud had the one, mirrors of Data Center the other. */
const PROJECT_PREFIXES: readonly string[] = ["upstream", "scm"];

export function routeOf(request: HttpRequest): Route {
  const [, repositoryPath = "", service = ""] =
    [STATUS_PATTERN, LFS_PATTERN, SERVICE_PATTERN]
      .map((pattern) => pattern.exec(request.path))
      .find((match) => match !== null) ?? [];
  const repository = repositoryOf(repositoryPath);
  if (repository === undefined) return { kind: "refused", response: notFoundResponse(NO_CACHE_HEADERS) };
  const kind = serviceOf(service, request);
  return typeof kind === "string" ? { kind, repository } : kind;
}

function repositoryOf(path: string): RepositoryReference | undefined {
  if (!path.startsWith("/")) return undefined;
  const segments = path
    .split("/")
    .filter((segment) => segment !== "")
    .map(decodeSegment);
  if (segments.length < 2 || segments.length > 3) return undefined;
  const slug = segments.at(-1)?.replace(/\.git$/i, "");
  const [owner, projectKey] = segments;
  if (slug === undefined || owner === undefined || owner === OWN_FOLDER) return undefined;
  if (segments.length === 3) {
    const isProject = PROJECT_PREFIXES.includes(owner) && projectKey !== undefined;
    return isProject && isNameSegment(projectKey) && isNameSegment(slug)
      ? { kind: "project", projectKey, slug }
      : undefined;
  }
  if (!isNameSegment(owner) && !isBracedUuid(owner)) return undefined;
  if (isBracedUuid(slug)) return { kind: "uuid", workspace: owner, uuid: slug.slice(1, -1).toLowerCase() };
  return isNameSegment(owner) && isNameSegment(slug) ? { kind: "name", workspace: owner, slug } : undefined;
}

function serviceOf(service: string, request: HttpRequest): Service | Route {
  switch (service) {
    case "info/refs":
      return serviceOfInfoRefs(request);
    case "git-upload-pack":
      if (request.method !== "POST") return methodNotAllowed("POST");
      if (mediaType(request.headers["content-type"]) !== REQUEST_TYPE) {
        return refused(415, `expected content type ${REQUEST_TYPE}`);
      }
      return "upload-pack";
    case "git-receive-pack":
      return request.method === "POST" ? "receive-pack" : methodNotAllowed("POST");
    case "status":
    case "wait":
    case "clone-plan":
      return request.method === "GET" ? service : methodNotAllowed("GET");
    case "lfs/objects/batch":
      return request.method === "POST" ? "lfs" : methodNotAllowed("POST");
    default:
      return "lfs";
  }
}

function serviceOfInfoRefs({ method, query }: HttpRequest): Service | Route {
  if (method !== "GET" && method !== "HEAD") return methodNotAllowed("GET, HEAD");
  const services = query.getAll("service");
  if (services.length === 1 && services[0] === "git-upload-pack") return "info-refs";
  if (services.length === 1 && services[0] === "git-receive-pack") return "receive-pack";
  if (services.length === 0) {
    return refused(
      403,
      "this server speaks git's smart HTTP protocol only: ask for ?service=git-upload-pack",
    );
  }
  return refused(403, "unsupported service");
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
