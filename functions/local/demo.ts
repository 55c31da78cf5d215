/** What `npm start` mirrors when it is told nothing: a small Bitbucket Cloud on this machine, with a sample repository. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { type FakeBitbucket, startFakeBitbucket } from "../../test/support/fake-bitbucket/fake-bitbucket.ts";
import { makeSampleRepository } from "../../test/support/git/sample-repository.ts";

export const DEMO_WORKSPACE = "acme";
const DEMO_SLUG = "sample";

/** The repository stays as it was left: what a visitor pushes is there after a restart. */
export async function startDemoPrimary(folder: string): Promise<FakeBitbucket> {
  const repository = join(folder, DEMO_WORKSPACE, `${DEMO_SLUG}.git`);
  const exists = await access(repository).then(
    () => true,
    () => false,
  );
  if (!exists) await makeSampleRepository(repository);
  return startFakeBitbucket({ repositoriesFolder: folder });
}
