/** What git's configuration says about requests to an address: proxy, certificates, headers. Source: git-config(1), `http.*`. */
import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { extraHeaders, type Headers } from "./extra-headers.ts";
import { type GitRun, gitOutput } from "./run-git.ts";

export interface HttpSettings {
  /** For `http.Agent` and `https.Agent`. */
  readonly agent: {
    readonly proxyEnv: Readonly<Record<string, string | undefined>>;
    readonly rejectUnauthorized: boolean;
    readonly ca?: string[];
  };
  readonly headers: Headers;
}

/** What only git's own client can do, by their names in lower case. */
const ONLY_GIT: ReadonlySet<string> = new Set([
  ...["sslcert", "sslkey", "sslcapath", "sslversion", "sslcipherlist", "sslbackend", "pinnedpubkey"],
  ...["schannelcheckrevoke", "schannelusesslcainfo", "cookiefile", "curloptresolve", "emptyauth"],
  ...["proxysslcert", "proxysslkey", "proxysslcainfo", "proxyauthmethod", "delegation"],
]);
const ONLY_GIT_VARIABLES = [
  ...["GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_CAPATH", "GIT_SSL_VERSION", "GIT_SSL_CIPHER_LIST"],
  ...["GIT_PROXY_SSL_CERT", "GIT_PROXY_SSL_KEY", "GIT_PROXY_SSL_CAINFO", "GIT_HTTP_PROXY_AUTHMETHOD"],
];

/** A proxy of a remote counts before `http.proxy` once the remote has its name. */
const HEADERS_AND_REMOTE_PROXIES = "^(http\\.(.*\\.)?extraheader|remote\\..*\\.proxy.*)$";

/** The first of them whose agents know `proxyEnv`; others would make requests past the proxy. */
const PROXY_NODE = [24, 5] as const;

/** @returns `undefined` if the configuration needs git's own client. */
export async function readHttpSettings(
  git: GitRun,
  url: string,
  env: NodeJS.ProcessEnv,
  nodeVersion = process.versions.node,
): Promise<HttpSettings | undefined> {
  const [listed, others] = await Promise.all([
    gitOutput(git, ["config", "--null", "--get-urlmatch", "http", url]),
    gitOutput(git, ["config", "--null", "--get-regexp", HEADERS_AND_REMOTE_PROXIES]),
  ]);
  const entries = others.stdout.split("\0").slice(0, -1);
  const values = new Map(
    listed.stdout
      .split("\0")
      .filter((entry) => entry !== "")
      .map((entry) => splitAt(entry.replace(/^http\./, ""), "\n")),
  );
  if (ONLY_GIT_VARIABLES.some((name) => env[name])) return undefined;
  // Node's own TLS.
  if (values.get("sslbackend") === "openssl") values.delete("sslbackend");
  if ([...values.keys()].some((name) => ONLY_GIT.has(name))) return undefined;
  const proxy = proxyOf(values.get("proxy"), url, env);
  if (proxy !== undefined && !canUseProxy(proxy, nodeVersion)) return undefined;
  if (entries.some((entry) => entry.startsWith("remote."))) return undefined;
  const headers = await extraHeaders(entries, url);
  if (headers === undefined) return undefined;
  const noProxy = env["no_proxy"] ?? env["NO_PROXY"];
  const caFile = env["GIT_SSL_CAINFO"] ?? (await pathOf(git, url, values.has("sslcainfo")));
  return {
    agent: {
      proxyEnv: proxy === undefined ? {} : { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: noProxy },
      rejectUnauthorized: !isFalse(values.get("sslverify")) && !env["GIT_SSL_NO_VERIFY"],
      ...(url.startsWith("https:") && { ca: await certificates(caFile) }),
    },
    headers,
  };
}

function canUseProxy(proxy: string, nodeVersion: string): boolean {
  if (!/^https?:$/.test(URL.parse(proxy)?.protocol ?? "")) return false;
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number);
  return major > PROXY_NODE[0] || (major === PROXY_NODE[0] && minor >= PROXY_NODE[1]);
}

/** As curl: a variable in lower case first. An empty setting means none. */
function proxyOf(setting: string | undefined, url: string, env: NodeJS.ProcessEnv): string | undefined {
  const variables = url.startsWith("https:")
    ? ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    : ["http_proxy", "all_proxy", "ALL_PROXY"];
  const proxy = setting ?? variables.map((name) => env[name]).find((value) => value !== undefined);
  if (proxy === undefined || proxy === "") return undefined;
  return /^[a-z0-9]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

async function pathOf(git: GitRun, url: string, isSet: boolean): Promise<string | undefined> {
  if (!isSet) return undefined;
  const args = ["config", "--type=path", "--get-urlmatch", "http.sslCAInfo", url];
  return (await gitOutput(git, args)).stdout.replace(/\n$/, "");
}

/** The system's as well, which git uses and Node does not. */
async function certificates(file: string | undefined): Promise<string[]> {
  if (file !== undefined && file !== "") return [await readFile(file, "utf8")];
  return [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
}

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

function isFalse(value: string | undefined): boolean {
  return value !== undefined && ["false", "no", "off", "0"].includes(value.toLowerCase());
}
