/** A server whose store is on a file system that is full: a small one of its own, which only that process sees. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LFS_FILE_FOLDER } from "../../lib/repo/layout.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { type MirrorProcess, spawnMirror } from "../support/mirror-process.ts";
import { listRefs, makeEmptyRepository, type Primary, startPrimary } from "../support/primary.ts";

const WAITING = { timeout: 60_000, interval: 50 };
const FILE_BYTES = 500_000;

/** Of the user's own, or the machine's where that needs no privilege. */
const NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"];

async function mayMount(): Promise<boolean> {
  const child = spawn(NAMESPACE[0] as string, [
    ...NAMESPACE.slice(1),
    "mount",
    "-t",
    "tmpfs",
    "tmpfs",
    "/mnt",
  ]);
  return new Promise((resolve) => {
    child.on("error", () => resolve(false));
    child.on("close", (exitCode) => resolve(exitCode === 0));
  });
}

let primary: Primary;
let mirror: MirrorProcess | undefined;

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
});
afterEach(async () => {
  await mirror?.stop();
  await primary.close();
});

test("what does not fit is not visible, what is stored is served, and all is copied once there is room", async ({
  skip,
}) => {
  if (!(await mayMount())) skip("this user may not mount a file system: unshare --user --mount fails");
  await primary.commit("main", "readme", "text");
  const small = join(primary.folder, "small");
  await mkdir(small);
  const mount = `mount -t tmpfs -o size=6m tmpfs ${small} && head -c 4600000 /dev/zero > ${small}/filler && exec "$@"`;
  mirror = spawnMirror(
    ["--json", "--port", "0", ...primary.mirrorArguments, "--store", join(small, "store")],
    {
      through: [...NAMESPACE, "sh", "-c", mount, "sh"],
    },
  );
  const { url } = await mirror.announced();
  const inside = join(`/proc/${mirror.pid}/root`, small);

  const contents = Array.from({ length: 8 }, () => randomBytes(FILE_BYTES));
  const oids: string[] = [];
  for (const [i, content] of contents.entries()) oids.push(await addLfsFile(primary, `${i}.bin`, content));
  await mirror.untilSaid(/no space left on device/);

  /** The oids of files, each of which is whole. */
  const stored = async () => {
    const names = await readdir(join(inside, "store", LFS_FILE_FOLDER), { recursive: true });
    const found = names.filter((name) => /[0-9a-f]{64}$/.test(name));
    for (const name of found) {
      const bytes = await readFile(join(inside, "store", LFS_FILE_FOLDER, name));
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(name.slice(-64));
    }
    return found.map((name) => name.slice(-64)).toSorted();
  };
  const links = async () => {
    const response = await fetch(`${url}/acme/sample.git/info/lfs/objects/batch`, {
      method: "POST",
      body: JSON.stringify({
        operation: "download",
        objects: oids.map((oid) => ({ oid, size: FILE_BYTES })),
      }),
    });
    const { objects } = (await response.json()) as {
      objects: { actions: { download: { href: string; header?: Record<string, string> } } }[];
    };
    return objects.map(({ actions }) => actions.download);
  };
  expect((await stored()).length).toBeLessThan(oids.length);
  for (const [i, { href, header = {} }] of (await links()).entries())
    expect(
      Buffer.from(await (await fetch(href, { headers: header })).bytes()).equals(contents[i] as Buffer),
    ).toBe(true);
  await listRefs(`${url}/acme/sample.git`);
  expect((await statfs(inside)).bavail).toBeLessThan(200);

  await rm(join(inside, "filler"));
  await vi.waitFor(async () => expect(await stored()).toEqual(oids.toSorted()), WAITING);
  await vi.waitFor(async () => {
    for (const { href } of await links()) expect(href).toContain(url);
  }, WAITING);
});
