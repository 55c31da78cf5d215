/**
 * A repository of the primary by its uuid, which no other can take; by its name only where git is refused under the uuid.
 * The caller has to confirm that a name still means the repository.
 */
import { isRefusal } from "./refused-answer.ts";
import type { UpstreamGit } from "./upstream-git.ts";

export interface FoundUpstream extends UpstreamGit {
  /** Under what the refs were found when they were listed last; `unknown` before. */
  readonly foundBy: "uuid" | "name" | "unknown";
}

interface UpstreamPaths {
  readonly byUuid: UpstreamGit;
  readonly byName: UpstreamGit;
}

export function upstreamByUuid({ byUuid, byName }: UpstreamPaths): FoundUpstream {
  let foundBy: FoundUpstream["foundBy"] = "unknown";
  return {
    get foundBy() {
      return foundBy;
    },
    async listRefs(known) {
      try {
        const refs = await byUuid.listRefs(known);
        foundBy = "uuid";
        return refs;
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
      const refs = await byName.listRefs();
      foundBy = "name";
      return refs;
    },
    fetchPack: (options) => (foundBy === "name" ? byName : byUuid).fetchPack(options),
  };
}
