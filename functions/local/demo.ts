/** What `npm start` mirrors when it is told nothing: a small Bitbucket Cloud on this machine, with a sample repository. */
import { access, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type FakeBitbucket, startFakeBitbucket } from "../../test/support/fake-bitbucket/fake-bitbucket.ts";
import { makeSampleRepository } from "../../test/support/git/sample-repository.ts";

export const DEMO_WORKSPACE = "acme";
/** Whom the small Bitbucket Cloud knows. */
export const DEMO_ACCOUNT = {
  kind: "api-token",
  email: "developer@example.com",
  token: "developer",
} as const;
const DEMO_SLUG = "sample";

/** The repository stays as it was left: what a visitor pushes is there after a restart. */
export async function startDemoPrimary(folder: string): Promise<FakeBitbucket> {
  const repository = join(folder, DEMO_WORKSPACE, `${DEMO_SLUG}.git`);
  const exists = await access(repository).then(
    () => true,
    () => false,
  );
  if (!exists) {
    // Beside it first: whoever is killed while making it leaves nothing that looks finished.
    const unfinished = `${folder}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await makeSampleRepository(unfinished);
    await mkdir(dirname(repository), { recursive: true });
    await rename(unfinished, repository);
  }
  return startFakeBitbucket({ repositoriesFolder: folder });
}
