/** `nearside lfs` */
import { Command, InvalidArgumentError } from "commander";
import { forgetFile } from "../../lib/lfs/forget-file.ts";
import { print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";
import { counted } from "./table.ts";

const EXPLANATION = `
For a file that must not be served any more, such as a secret that was committed: delete it at Bitbucket first. While Bitbucket still
has it, it is copied again as soon as a client asks for it. Links that were handed out before fail at once, as the file is gone.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings.`;

export function configure(command: Command): void {
  command.addCommand(
    storeOptions(new Command("forget").description("delete a file, and every repository's right to serve it"))
      .argument("<oid>", "SHA-256 of the file, as its pointer says", parseOid)
      .addHelpText("after", EXPLANATION)
      .action(forget),
  );
}

async function forget(oid: string, options: StoreOptions): Promise<void> {
  const repositories = await forgetFile(storeOf(options), oid);
  print(`${oid} is deleted. ${counted(repositories.length, "repository", "repositories")} served it.`);
}

function parseOid(text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new InvalidArgumentError("Expected 64 hexadecimal digits in small letters.");
}
