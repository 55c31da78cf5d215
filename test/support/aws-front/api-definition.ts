/** A REST API of API Gateway as its template describes it. */
import ipaddr from "ipaddr.js";
import { type DeployedResource, type DeployedTemplate, functionName } from "./template.ts";

export interface ApiRoute {
  /** `/-/webhooks/{workspace}`. */
  readonly path: string;
  readonly method: string;
  readonly function: string;
  readonly isAuthorized: boolean;
  readonly timeoutMs: number;
}

interface AuthorizerDefinition {
  readonly function: string;
  /** 0: results are not cached. */
  readonly cacheMs: number;
  /** `method.request.header.Authorization`. */
  readonly identitySources: readonly string[];
}

/** What API Gateway answers itself. */
interface GatewayResponse {
  readonly statusCode?: number;
  readonly headers: Readonly<Record<string, string>>;
  /** By content type. */
  readonly templates: Readonly<Record<string, string>>;
}

export interface ApiDefinition {
  readonly stage: string;
  readonly routes: readonly ApiRoute[];
  readonly authorizer?: AuthorizerDefinition;
  readonly gatewayResponses: Readonly<Record<string, GatewayResponse>>;
  readonly binaryMediaTypes: readonly string[];
  readonly requestsPerSecond?: { readonly rate: number; readonly burst: number };
  /** @param path - With method: `GET/acme/site.git/info/refs`. */
  readonly isDenied?: (address: string, path: string) => boolean;
}

/** Of API Gateway, where a method sets none. */
const DEFAULT_INTEGRATION_TIMEOUT_MS = 29_000;

export function apiOf(template: DeployedTemplate): ApiDefinition {
  const api = template.only("AWS::ApiGateway::RestApi").properties;
  const { StageName: stage, MethodSettings: [settings] = [] } =
    template.only("AWS::ApiGateway::Stage").properties;
  const authorizer = template.only("AWS::ApiGateway::Authorizer").properties;
  return {
    stage,
    routes: routesOf(template),
    authorizer: {
      function: functionName(authorizer["AuthorizerUri"]),
      cacheMs: authorizer["AuthorizerResultTtlInSeconds"] * 1000,
      identitySources: String(authorizer["IdentitySource"]).split(",").filter(Boolean),
    },
    gatewayResponses: Object.fromEntries(
      template
        .resources("AWS::ApiGateway::GatewayResponse")
        .map(({ properties }) => [properties["ResponseType"], gatewayResponse(properties)]),
    ),
    binaryMediaTypes: api["BinaryMediaTypes"] ?? [],
    requestsPerSecond: { rate: settings.ThrottlingRateLimit, burst: settings.ThrottlingBurstLimit },
    ...(api["Policy"] !== undefined && { isDenied: denialsOf(api["Policy"], stage) }),
  };
}

function routesOf(template: DeployedTemplate): ApiRoute[] {
  const parts = new Map(
    template
      .resources("AWS::ApiGateway::Resource")
      .map(({ id, properties }) => [id, { parent: properties["ParentId"], part: properties["PathPart"] }]),
  );
  const pathOf = (id: string): string => {
    const resource = parts.get(id);
    return resource === undefined ? "" : `${pathOf(resource.parent)}/${resource.part}`;
  };
  return template.resources("AWS::ApiGateway::Method").map(({ properties }) => {
    const integration = properties["Integration"];
    if (integration.ResponseTransferMode !== "STREAM") throw new Error("a method does not stream");
    return {
      path: pathOf(properties["ResourceId"]) || "/",
      method: properties["HttpMethod"],
      function: functionName(integration.Uri),
      isAuthorized: properties["AuthorizationType"] === "CUSTOM",
      timeoutMs: integration.TimeoutInMillis ?? DEFAULT_INTEGRATION_TIMEOUT_MS,
    };
  });
}

function gatewayResponse(properties: DeployedResource["properties"]): GatewayResponse {
  const { StatusCode, ResponseParameters = {}, ResponseTemplates = {} } = properties;
  const headers = Object.entries<string>(ResponseParameters).map(([name, text]) => [
    name.replace("gatewayresponse.header.", ""),
    text.slice(1, -1),
  ]);
  return {
    ...(StatusCode !== undefined && { statusCode: Number(StatusCode) }),
    headers: Object.fromEntries(headers),
    templates: ResponseTemplates,
  };
}

/** Understands a denial by address, with an exception by path. */
function denialsOf(
  policy: { readonly Statement: readonly Record<string, unknown>[] },
  stage: string,
): (address: string, path: string) => boolean {
  const denials = policy.Statement.filter(({ Effect }) => Effect === "Deny").map((statement) => {
    const { NotIpAddress } = statement["Condition"] as { NotIpAddress: Record<string, string[]> };
    const ranges = [NotIpAddress["aws:SourceIp"] ?? []].flat().map((range) => ipaddr.parseCIDR(range));
    const except = String(statement["NotResource"]).replace(`execute-api:/${stage}/`, "").replace(/\*$/, "");
    return { ranges, except };
  });
  return (address, path) => {
    const parsed = ipaddr.process(address);
    return denials.some(
      ({ ranges, except }) =>
        !path.startsWith(except) &&
        !ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits)),
    );
  };
}

/** The route with the most specific path; `undefined` is API Gateway's "Missing Authentication Token". */
export function findRoute(
  { routes }: ApiDefinition,
  method: string,
  path: string,
): { readonly route: ApiRoute; readonly parameters: Record<string, string> } | undefined {
  const found = routes
    .map((route) => ({ route, parameters: parametersOf(route.path, path) }))
    .filter(({ parameters }) => parameters !== undefined)
    .toSorted((a, b) => compareSpecific(a.route.path, b.route.path));
  const best = found.filter(({ route }) => route.path === found[0]?.route.path);
  const ofMethod = (name: string) => best.find(({ route }) => route.method === name);
  const match = ofMethod(method) ?? ofMethod("ANY");
  return match && { route: match.route, parameters: match.parameters ?? {} };
}

function parametersOf(template: string, path: string): Record<string, string> | undefined {
  const parts = template.split("/").slice(1);
  const segments = path.split("/").slice(1);
  const parameters: Record<string, string> = {};
  for (const [index, part] of parts.entries()) {
    const segment = segments[index] ?? "";
    if (part === "{proxy+}") {
      const rest = segments.slice(index).join("/");
      return rest === "" ? undefined : { ...parameters, proxy: rest };
    }
    if (part.startsWith("{") && segment !== "") parameters[part.slice(1, -1)] = segment;
    else if (part !== segment) return undefined;
  }
  return segments.length === parts.length ? parameters : undefined;
}

function compareSpecific(a: string, b: string): number {
  const weigh = (path: string) =>
    path.split("/").map((part) => (part.endsWith("+}") ? "2" : part.startsWith("{") ? "1" : "0"));
  return weigh(a).join("").localeCompare(weigh(b).join(""));
}
