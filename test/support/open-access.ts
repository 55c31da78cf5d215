/** For tests of what comes after the decision who may read. */
import type { DecideAccess } from "../../lib/git-http/decide-access.ts";
import type { PushPolicy } from "../../lib/git-http/primary-redirect.ts";

export const OPEN_ACCESS: {
  readonly access: DecideAccess;
  readonly push: PushPolicy;
} = {
  access: async () => ({ kind: "allowed" }),
  push: { kind: "redirect", gitUrl: "https://bitbucket.example" },
};
