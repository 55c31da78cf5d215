/** The fake Bitbucket's workspace `acme`, and a server in a process of its own that mirrors it with olga's account. */
import { join } from "node:path";
import { type AcmeWorkspace, openAcmeWorkspace } from "./fake-bitbucket/acme-workspace.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "./mirror-process.ts";

export interface ServedAcme {
  readonly acme: AcmeWorkspace;
  readonly mirror: MirrorProcess & MirrorAnnouncement;
  close(): Promise<void>;
}

export async function serveAcme(pollSeconds: number): Promise<ServedAcme> {
  const acme = await openAcmeWorkspace();
  const { gitUrl, apiUrl } = acme.fake;
  const store = join(acme.folder, "store");
  const args = ["--store", store, "--workspace", "acme", "--git-url", gitUrl, "--api-url", apiUrl];
  const env = { BITBUCKET_EMAIL: "olga@example.com", BITBUCKET_API_TOKEN: "olga-token" };
  const mirror = await startMirror([...args, "--poll-seconds", String(pollSeconds)], {
    cwd: acme.folder,
    env,
  });
  return {
    ...{ acme, mirror },
    async close() {
      await mirror.stop("SIGKILL");
      await acme.close();
    },
  };
}
