/** A real client takes an answer: it holds exactly what its haves reach, and afterwards git finds nothing missing. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { boundaryAfter, heldByClient, type PackComparison, wantedObjects } from "./compare-answers.ts";
import type { GitShell } from "./git-shell.ts";

export interface ClientCheckOptions {
  readonly shell: GitShell;
  readonly primary: string;
  /** To be made, and removed again. */
  readonly folder: string;
}

/** @returns What git complains of. */
export async function checkClient(
  comparison: PackComparison,
  pack: Uint8Array,
  { shell, primary, folder }: ClientCheckOptions,
): Promise<string[]> {
  const { graph } = comparison.subject;
  const packFolder = join(folder, "objects/pack");
  const held = [...heldByClient(comparison)];
  await mkdir(packFolder, { recursive: true });
  await mkdir(join(folder, "refs"));
  await writeFile(join(folder, "HEAD"), "ref: refs/heads/main\n");
  if (held.length > 0) {
    const input = Buffer.from(held.map((object) => `${graph.id(object)}\n`).join(""));
    await shell.run({ args: ["pack-objects", "-q", join(packFolder, "pack")], cwd: primary, input });
  }
  const cut = [...boundaryAfter(comparison)].map((commit) => `${graph.id(commit)}\n`);
  if (cut.length > 0) await writeFile(join(folder, "shallow"), cut.join(""));
  const args = ["index-pack", "--stdin", "--fix-thin"];
  const received = await shell.try({ args, cwd: folder, input: pack });
  const tips = wantedObjects(comparison).map((object, i) => `${graph.id(object)} refs/wants/${i}\n`);
  await writeFile(join(folder, "packed-refs"), tips.join(""));
  const checked = await shell.try({
    args: ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"],
    cwd: folder,
  });
  await rm(folder, { recursive: true });
  if (received.exitCode !== 0) return [`a client cannot take the pack: ${received.stderr.trim()}`];
  // Nothing of this client's is on a branch, which git remarks.
  const said = `${Buffer.from(checked.stdout).toString()}${checked.stderr}`.replace(/^notice: .*\n/gm, "");
  return checked.exitCode === 0 && said === "" ? [] : [`git fsck in a client: ${said.trim().slice(0, 500)}`];
}
