/** `nearside lfs` */
import { Command, InvalidArgumentError } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { type ForgottenFile, forgetFile } from "../../lib/lfs/forget-file.ts";
import { heldRepositories } from "../../lib/mirror/workspace-index.ts";
import { LFS_FILE_FOLDER } from "../../lib/repo/layout.ts";
import { repositoryDocument } from "../../lib/repo/repository-record.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";
import { fullName } from "./named-repositories.ts";
import { printJson } from "./print-json.ts";

const EXPLANATION = `
For a file that must not be served any more, such as a secret that was committed: delete it at Bitbucket first. While Bitbucket still
has it, it is copied again as soon as a client asks for it. Links that were handed out before fail at once, as the file is gone.
Also for a file that nearside verify --lfs finds damaged or missing: nearside sync copies it again.
Exit codes: 0 done, or it was not here; 1 failed; 2 wrong arguments or settings.`;

interface ForgetOptions extends StoreOptions {
  readonly json?: true;
}

export function configure(command: Command): void {
  command.addCommand(
    storeOptions(new Command("forget").description("delete a file, and every repository's right to serve it"))
      .argument("<oid>", "SHA-256 of the file, as its pointer says", parseOid)
      .option("--json", "print JSON")
      .addHelpText("after", EXPLANATION)
      .action(forget),
  );
}

async function forget(oid: string, options: ForgetOptions): Promise<void> {
  const store = storeOf(options);
  if (!(await isMirror(store)))
    throw new ConfigError(`there is no mirror in ${options.store}: say where it is with --store`);
  const { wasStored, ...uuids } = await forgetFile(store, oid);
  const namesOf = (some: readonly string[]) => Promise.all(some.map((uuid) => nameOf(store, uuid)));
  const [repositories, damaged] = [await namesOf(uuids.repositories), await namesOf(uuids.damaged)];
  const forgotten = { wasStored, repositories, damaged };
  if (options.json) printJson("lfs-forget", { oid, ...forgotten }, true);
  else print(`${oid} ${describe(forgotten)}`);
}

/** Not without repositories only: their files outlive them by a day. */
async function isMirror(store: BlobStore): Promise<boolean> {
  for await (const _ of store.list(LFS_FILE_FOLDER)) return true;
  for await (const _ of heldRepositories(store)) return true;
  return false;
}

async function nameOf(store: BlobStore, uuid: string): Promise<string> {
  const { value } = await repositoryDocument(store, uuid).read();
  return value === undefined ? uuid : fullName(value);
}

function describe({ wasStored, repositories, damaged }: ForgottenFile): string {
  if (damaged.length > 0) {
    const rest = describe({ wasStored, repositories, damaged: [] });
    return `${rest} Damaged LFS tables of ${damaged.join(", ")} were left out: nearside sync asks Bitbucket anew about their files.`;
  }
  if (repositories.length > 0) return `is deleted. It is not served any more for ${repositories.join(", ")}.`;
  if (wasStored) return "is deleted. It was served for no repository.";
  return "is not in this mirror, and no repository has a record of it: nothing to delete.";
}

/** Also as a pointer has it, with the name of the hash before it. */
function parseOid(text: string): string {
  const oid = text.toLowerCase().replace(/^sha256:/, "");
  if (/^[0-9a-f]{64}$/.test(oid)) return oid;
  throw new InvalidArgumentError("Expected the SHA-256 of the file: 64 hexadecimal digits.");
}
