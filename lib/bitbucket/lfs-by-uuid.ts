/**
 * The files of one repository at the primary, asked for by its uuid, which no other repository can take. Where the primary
 * does not know the uuid, by the name; then an answer counts only if the name still means the repository.
 */
import { RenamedError } from "../errors.ts";
import type { lfsClient } from "./lfs-client.ts";
import { isRefusal } from "./refused-answer.ts";

type LfsClient = ReturnType<typeof lfsClient>;

export interface LfsPaths {
  /** Absent where git does not find the repository by its uuid either. */
  readonly byUuid?: LfsClient | undefined;
  readonly byName: LfsClient;
  /** Asks REST. @throws {UpstreamError} */
  readonly isNameRight: () => Promise<boolean>;
}

/** @returns Throws a {@link RenamedError} as well, where the name means another repository. */
export function lfsByUuid({ byUuid, byName, isNameRight }: LfsPaths): LfsClient {
  return {
    async ask(objects, signal) {
      try {
        if (byUuid !== undefined) return await byUuid.ask(objects, signal);
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
      const entries = await byName.ask(objects, signal);
      if (!(await isNameRight()))
        throw new RenamedError("LFS files were asked for by a name that means another repository by now");
      return entries;
    },
    open: (...download) => byName.open(...download),
  };
}
