/** Compacts a repository in a folder store, and the janitor after it, and kills itself with SIGKILL before a given store call. */
import { compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import { tidyRepository } from "../../lib/repo/janitor.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { EAGER } from "./compaction-policies.ts";

const [folder = "", uuid = "", lastCall = ""] = process.argv.slice(2);
let calls = 0;

/** The same object, whose calls count. */
function counted<Target extends object>(target: Target): Target {
  return new Proxy(target, {
    get(object, property) {
      const member: unknown = Reflect.get(object, property, object);
      if (typeof member !== "function") return member;
      return (...args: unknown[]): unknown => {
        calls += 1;
        if (calls > Number(lastCall)) process.kill(process.pid, "SIGKILL");
        const result: unknown = Reflect.apply(member, object, args);
        return property === "startUpload" && result instanceof Promise
          ? result.then((upload: object) => counted(upload))
          : result;
      };
    },
  });
}

const store = counted(new FsBlobStore(folder));
await compactRepository(uuid, { store, policy: EAGER });
await tidyRepository(uuid, {
  store,
  policy: { graceMs: 0, intervalMs: 0, maxRemoved: 1000, maxNoted: 1000 },
});
