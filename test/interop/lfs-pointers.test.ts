/** What counts as a pointer is asked of git-lfs itself: which files it wants to fetch. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { git, tryGit } from "../support/git/run-git.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { NOT_POINTERS, POINTERS, readPointer } from "../support/lfs/pointer-texts.ts";

const isMissing = (await tryGit(["lfs", "version"])).exitCode !== 0;
// In CI nothing is left out.
if (isMissing && process.env["CI"] !== undefined) throw new Error("git-lfs is not installed");

describe.skipIf(isMissing)("git-lfs", () => {
  const asked = new Set<string>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { objects } = z
      .object({ objects: z.array(z.looseObject({ oid: z.string() })) })
      .parse(await json(request));
    for (const { oid } of objects) asked.add(oid.toLowerCase());
    const error = { code: 404, message: "not here" };
    response.writeHead(200, { "content-type": "application/vnd.git-lfs+json" });
    response.end(JSON.stringify({ objects: objects.map((object) => ({ ...object, error })) }));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  let remove: () => Promise<void>;

  beforeAll(async () => {
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/lfs`;
    const { path: cwd, remove: removeFolder } = await temporaryFolder();
    remove = removeFolder;
    await git(["init", "--quiet", "--initial-branch=main", cwd]);
    const entries: string[] = [];
    for (const { name, text } of [...POINTERS, ...NOT_POINTERS]) {
      const input = text(oidOf(name));
      const id = await git(["hash-object", "-w", "--stdin", "--no-filters"], { cwd, input });
      entries.push(`100644 blob ${id}\tfile-${entries.length}\n`);
    }
    const tree = await git(["mktree"], { cwd, input: entries.join("") });
    const commit = await git(["commit-tree", "-m", "pointers", tree], { cwd });
    await git(["update-ref", "refs/heads/main", commit], { cwd });
    await git(["config", "lfs.url", url], { cwd });
    await git(["config", `lfs.${url}.access`, "none"], { cwd });
    await git(["remote", "add", "origin", url], { cwd });
    await tryGit(["lfs", "fetch", "--all"], { cwd });
  });

  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await remove();
  });

  test.each([...POINTERS, ...NOT_POINTERS])("takes it as we do: $name", ({ name, text }) => {
    const bytes = Buffer.from(text(oidOf(name)));
    const isPointer = readPointer(bytes, 0, bytes.length) !== undefined;
    expect(asked.has(oidOf(name))).toBe(isPointer);
  });
});

/** The files differ in their oids. */
function oidOf(name: string): string {
  return createHash("sha256").update(name).digest("hex");
}
