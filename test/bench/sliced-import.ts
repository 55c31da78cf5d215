/** Row `sliced-import`: a first sync in slices; in git's place the same sync by one fetch. Both fetch from git http-backend. */
import { randomUUID } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import { repositoryFolderIn } from "./ingested-store.ts";
import { measureProgram } from "./measured-command.ts";
import { startPlainGitServer } from "./measured-server.ts";
import type { Contest, Measurement } from "./measurement.ts";
import type { ContestRow } from "./row.ts";
import type { SlicedImportOrder, SlicedImportOutcome } from "./sliced-import-child.ts";

export const SLICED_IMPORT_ROW: ContestRow = {
  name: "sliced-import",
  goals: { wall: 1.25, memory: 1 },
  isServed: false,
  async open(preparations): Promise<Contest> {
    const { workspace } = preparations;
    const { root, folder, packBytes } = await preparations.whole();
    const server = await startPlainGitServer(workspace, root);
    const scratch = await workspace.newFolder("sliced-import");
    const uuid = randomUUID();
    const setup = { slices: 0 };
    const storeOf = (isSliced: boolean) => join(scratch, isSliced ? "sliced" : "whole");
    const measure = async (isSliced: boolean): Promise<Measurement> => {
      const storeFolder = storeOf(isSliced);
      await rm(storeFolder, { recursive: true, force: true });
      await mkdir(storeFolder, { recursive: true });
      const order: SlicedImportOrder = {
        repositoryUrl: `${server.url}/${BENCH_WORKSPACE}/${BENCH_SLUG}.git`,
        ...{ storeFolder, uuid, isSliced },
        temporaryFolder: join(scratch, "temporary"),
        expectedBytes: packBytes,
      };
      const orderFile = join(scratch, "order.json");
      await writeFile(orderFile, JSON.stringify(order));
      const { usage, stdout } = await measureProgram(workspace, "sliced-import-child.ts", [orderFile]);
      const { counts, slices } = JSON.parse(stdout) as SlicedImportOutcome;
      if (slices > 0 !== isSliced) throw new Error(`${slices} slices were fetched`);
      if (isSliced) setup.slices = slices;
      return { ...usage, bytes: counts.bytesWritten, storeRequests: counts.requests, rounds: counts.rounds };
    };
    return {
      setup,
      mirror: () => measure(true),
      git: () => measure(false),
      async verify(): Promise<void> {
        const folders = [
          folder,
          ...[true, false].map((isSliced) => repositoryFolderIn(storeOf(isSliced), uuid)),
        ];
        const found = await Promise.all(
          folders.map(async (cwd) => [
            await workspace.git(["for-each-ref"], { cwd }),
            await workspace.git(["rev-list", "--objects", "--all", "--count"], { cwd }),
          ]),
        );
        if (new Set(found.map((lines) => lines.join("\n"))).size > 1)
          throw new Error("the repositories differ");
      },
      async close(): Promise<void> {
        await server.close();
        await rm(scratch, { recursive: true, force: true });
      },
    };
  },
};
