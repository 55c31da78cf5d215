/** The repositories that a command line names. */
import { ConfigError } from "../../lib/errors.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { type RepositoryStatus, readMirrorStatus } from "../../lib/mirror/mirror-status.ts";
import { readName } from "../../lib/repo/names.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";

/**
 * @param names - `workspace` or `workspace/repository`; none for everything that is mirrored.
 * @throws {ConfigError} A name under which nothing is mirrored.
 */
export async function namedRepositories(
  store: BlobStore,
  config: MirrorConfig,
  names: readonly string[],
): Promise<RepositoryStatus[]> {
  const selected = (await readMirrorStatus(store, config))
    .flatMap(({ repositories }) => repositories)
    .filter(({ isSelected }) => isSelected);
  if (names.length === 0) return selected;
  const found = new Map<string, RepositoryStatus>();
  for (const name of names) {
    const matching = selected.filter((one) => isNamed(one, name));
    if (matching.length === 0) {
      const hint = (await isKnown(store, name))
        ? "it is stored, but not selected"
        : "nothing is mirrored under this name";
      throw new ConfigError(`${name}: ${hint}. See nearside status and nearside select`, {
        ...(selected.length === 0 && { lacks: "workspace" }),
      });
    }
    for (const one of matching) found.set(one.uuid, one);
  }
  return [...found.values()];
}

export function fullName({ workspace, slug }: Pick<RepositoryStatus, "workspace" | "slug">): string {
  return `${workspace}/${slug}`;
}

function isNamed(one: RepositoryStatus, name: string): boolean {
  const wanted = name.toLowerCase();
  return wanted === one.workspace.toLowerCase() || wanted === fullName(one).toLowerCase();
}

async function isKnown(store: BlobStore, name: string): Promise<boolean> {
  const [workspace = "", slug = ""] = name.split("/");
  return (await readName(store, workspace, slug)) !== undefined;
}
