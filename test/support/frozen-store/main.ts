/**
 * `npm run freeze-store`: makes test/fixtures/store anew, a mirror's folder as this release leaves it after two syncs.
 * Only for a release: every later one must read and continue it (test/interop/frozen-store.test.ts).
 */
import { cp, rm } from "node:fs/promises";
import { relative } from "node:path";
import { startMirror } from "../mirror-process.ts";
import { FROZEN_STORE_FOLDER, startFrozenPrimary } from "./frozen-primary.ts";

const primary = await startFrozenPrimary();
const mirror = await startMirror(primary.mirrorArguments);
await primary.commit("main", "second-sync.txt", "second\n");
await mirror.untilSaid(/generation 2,/);
await mirror.stop("SIGTERM");
await rm(FROZEN_STORE_FOLDER, { recursive: true, force: true });
// The folder's own files (lock, secrets, answers) are not the mirror's documents.
const isOwn = (path: string) => /^(\.|auth\/|.*\/cache\/)/.test(relative(primary.storeFolder, path));
await cp(primary.storeFolder, FROZEN_STORE_FOLDER, {
  recursive: true,
  filter: (path) => path === primary.storeFolder || !isOwn(path),
});
await primary.close();
