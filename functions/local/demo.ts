/** The demo: a small Bitbucket Cloud on this machine, with a sample repository, and a mirror of it. All in a folder of its own. */
import { access, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FakeBitbucket } from "../../test/support/fake-bitbucket/fake-bitbucket.ts";
import type { Arguments } from "./arguments.ts";

export const DEMO_FOLDER = ".nearside/demo";
const DEMO_WORKSPACE = "acme";
const DEMO_SLUG = "sample";
const POLL_SECONDS = 2;

/** A caller that the small Bitbucket Cloud knows. */
export const DEMO_ACCOUNT = {
  kind: "api-token",
  email: "developer@example.com",
  token: "developer",
} as const;

export interface Demo {
  readonly gitUrl: string;
  readonly account: typeof DEMO_ACCOUNT;
  /** In place of those given. */
  readonly arguments: Partial<Arguments>;
  close(): Promise<void>;
}

export async function startDemo(folder: string): Promise<Demo> {
  const fake = await startPrimary(join(folder, "primary"));
  const { gitUrl, apiUrl } = fake;
  return {
    gitUrl,
    account: DEMO_ACCOUNT,
    arguments: {
      gitUrl,
      apiUrl,
      store: join(folder, "store"),
      workspace: [DEMO_WORKSPACE],
      pollSeconds: POLL_SECONDS,
    },
    close: () => fake.close(),
  };
}

/** The repository stays as it was left: what a visitor pushes is there after a restart. */
async function startPrimary(folder: string): Promise<FakeBitbucket> {
  // Loaded here, as only the demo needs what is in test/.
  const { startFakeBitbucket } = await import("../../test/support/fake-bitbucket/fake-bitbucket.ts");
  const { makeSampleRepository } = await import("../../test/support/git/sample-repository.ts");
  const repository = join(folder, DEMO_WORKSPACE, `${DEMO_SLUG}.git`);
  const exists = await access(repository).then(
    () => true,
    () => false,
  );
  if (!exists) {
    // Beside it first: a process that is killed here leaves nothing that looks finished.
    const unfinished = `${folder}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await makeSampleRepository(unfinished);
    await mkdir(dirname(repository), { recursive: true });
    await rename(unfinished, repository);
  }
  return startFakeBitbucket({ repositoriesFolder: folder });
}
