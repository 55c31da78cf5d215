/** `http.extraHeader` and `http.<url>.extraHeader` of git's configuration. Source: git-config(1). */
import { validateHeaderName, validateHeaderValue } from "node:http";
import { gitOutput } from "./run-git.ts";

/** By name in lower case; several values are sent as so many headers. */
export type Headers = Readonly<Record<string, string | readonly string[]>>;

/** More are left to git: each may take a question of its own. */
const MAX_ENTRIES = 32;

/** They would change what a request is, or what its answer is encoded with. */
const ONLY_GIT: ReadonlySet<string> = new Set([
  ...["host", "connection", "content-length", "transfer-encoding", "trailer", "expect", "upgrade"],
  ...["accept-encoding", "range"],
]);

interface Entry {
  /** As git prints it: section and name in lower case, the address as it is. */
  readonly key: string;
  readonly value: string;
}

/**
 * @param listed - The entries as `git config --null --get-regexp` prints them.
 * @returns Those of requests to `url`; `undefined` if only git itself can send them.
 */
export async function extraHeaders(listed: readonly string[], url: string): Promise<Headers | undefined> {
  if (listed.length > MAX_ENTRIES) return undefined;
  const entries: Entry[] = [];
  for (const entry of listed) {
    const [key, value] = splitAt(entry, "\n");
    // An entry without "=" is an error for git.
    if (value === undefined) return undefined;
    entries.push({ key, value });
  }
  let lines: string[] = [];
  for (const { value } of await entriesFor(entries, url)) lines = value === "" ? [] : [...lines, value];
  return headersOf(lines);
}

/**
 * As git collects them: one whose address fits less well than that of an earlier one does not count. How well it fits git knows best:
 * asked for a value, it gives that of the last one that counts.
 */
async function entriesFor(entries: readonly Entry[], url: string): Promise<readonly Entry[]> {
  if (entries.every(({ key }) => key === "http.extraheader")) return entries;
  const found: Entry[] = [];
  const sections: string[] = [];
  for (const [n, entry] of entries.entries()) {
    const [, address] = /^http\.(.*)\.extraheader$/.exec(entry.key) ?? [];
    const subsection = address === undefined ? "" : ` "${address.replaceAll(/["\\]/g, "\\$&")}"`;
    sections.push(`[http${subsection}]\n  extraHeader = ${n}\n`);
    const ask = ["config", "--file", "-", "--get-urlmatch", "http.extraHeader", url];
    const { stdout } = await gitOutput({ options: [] }, ask, sections.join(""));
    if (stdout.trim() === String(n)) found.push(entry);
  }
  return found;
}

function headersOf(lines: readonly string[]): Headers | undefined {
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const [name, value] = splitAt(line, ":");
    const header = name.toLowerCase();
    // Without a value curl takes a header away, or sends an empty one.
    if (value === undefined || value.trim() === "" || ONLY_GIT.has(header)) return undefined;
    if (!isValid(header, value.trim())) return undefined;
    headers.set(header, [...(headers.get(header) ?? []), value.trim()]);
  }
  return Object.fromEntries(
    [...headers].map(([name, [first = "", ...more]]) => [name, more.length === 0 ? first : [first, ...more]]),
  );
}

function isValid(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false; // A TypeError of node:http: nothing else is thrown there.
  }
}

function splitAt(text: string, separator: string): [before: string, after: string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
