/** What git's configuration says about requests to an address: proxy, certificates, headers. Source: git-config(1), `http.*`. */
import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { type GitRun, gitOutput } from "./run-git.ts";

export interface HttpSettings {
  /** For `http.Agent` and `https.Agent`. */
  readonly agent: {
    readonly proxyEnv: Readonly<Record<string, string | undefined>>;
    readonly rejectUnauthorized: boolean;
    readonly ca?: string[];
  };
  readonly headers: Readonly<Record<string, string>>;
}

/** What only git's own client can do, by their names in lower case. */
const ONLY_GIT: ReadonlySet<string> = new Set(
  ["sslcert", "sslkey", "sslcapath", "cookiefile", "pinnedpubkey", "curloptresolve"].concat([
    "proxysslcert",
    "proxysslkey",
    "proxysslcainfo",
    "proxyauthmethod",
    "emptyauth",
  ]),
);
const ONLY_GIT_VARIABLES = ["GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_CAPATH", "GIT_PROXY_SSL_CERT"];

/** @returns `undefined` if the configuration needs git's own client. */
export async function readHttpSettings(
  git: GitRun,
  url: string,
  env: NodeJS.ProcessEnv,
): Promise<HttpSettings | undefined> {
  const listed = await gitOutput(git, ["config", "--null", "--get-urlmatch", "http", url]);
  const values = new Map(
    listed.stdout
      .split("\0")
      .filter((entry) => entry !== "")
      .map((entry) => splitAt(entry.replace(/^http\./, ""), "\n")),
  );
  if (ONLY_GIT_VARIABLES.some((name) => env[name])) return undefined;
  if ([...values.keys()].some((name) => ONLY_GIT.has(name))) return undefined;
  const proxy = proxyOf(values.get("proxy"), url, env);
  if (proxy !== undefined && !/^https?:/.test(proxy)) return undefined;
  const noProxy = env["no_proxy"] ?? env["NO_PROXY"];
  const caFile = env["GIT_SSL_CAINFO"] ?? (await pathOf(git, url, values.has("sslcainfo")));
  return {
    agent: {
      proxyEnv: proxy === undefined ? {} : { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: noProxy },
      rejectUnauthorized: !isFalse(values.get("sslverify")) && !env["GIT_SSL_NO_VERIFY"],
      ...(url.startsWith("https:") && { ca: await certificates(caFile) }),
    },
    headers: await extraHeaders(git, values.get("extraheader")),
  };
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

/** `--get-urlmatch` gives the last one only, and those without an address are often several. */
async function extraHeaders(git: GitRun, matched: string | undefined): Promise<Record<string, string>> {
  if (matched === undefined) return {};
  const { stdout } = await gitOutput(git, ["config", "--null", "--get-all", "http.extraHeader"]);
  const lines = [...stdout.split("\0").filter((line) => line !== ""), matched];
  return Object.fromEntries(
    lines.map((line) => splitAt(line, ":")).map(([name, value]) => [name.toLowerCase(), value.trim()]),
  );
}

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

function isFalse(value: string | undefined): boolean {
  return value !== undefined && ["false", "no", "off", "0"].includes(value.toLowerCase());
}
