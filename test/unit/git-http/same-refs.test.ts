/** Whether the primary shows what is served: refs of git's, and nothing that merely holds none. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ProtocolError } from "../../../lib/errors.ts";
import { encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { showsPublishedRefs } from "../../../lib/git-http/same-refs.ts";
import { MemoryBlobStore } from "../../../lib/store/memory-blob-store.ts";
import { MirrorBuilder } from "../../support/git/mirror-builder.ts";
import { git } from "../../support/git/run-git.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";

const SERVICE = [encodePktLine("# service=git-upload-pack\n"), FLUSH_PKT];
const NO_REFS = encodePktLine(`${"0".repeat(40)} capabilities^{}\0agent=git/2\n`);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

test("of a repository that is empty here only git's own answer without refs is the same", async () => {
  const store = new MemoryBlobStore();
  await git(["init", "--quiet", "--bare", `${folder.path}/empty.git`]);
  const builder = await MirrorBuilder.open(store, `${folder.path}/empty.git`, `${folder.path}/scratch`);
  await builder.publish("acme", "empty");
  const shows = (...lines: Uint8Array[]) =>
    showsPublishedRefs(
      store,
      builder.uuid,
      (async function* () {
        yield* lines;
      })(),
    );
  expect(await shows(...SERVICE, NO_REFS, FLUSH_PKT)).toBe(true);
  await expect(shows(encodePktLine("ERR no such repository\n"))).rejects.toThrow(ProtocolError);
  await expect(shows()).rejects.toThrow(ProtocolError);
});
