/** A server that is running notices what the command line selects, long before its next poll. */
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { dataOf, runCli } from "../support/cli.ts";
import { openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { startMirror } from "../support/mirror-process.ts";

const OLGA = { NEARSIDE_SECRET_OLGA: '{"email": "olga@example.com", "token": "olga-token"}' };

test("connected, then selected step by step: the server mirrors each selection within seconds", async () => {
  const acme = await openAcmeWorkspace();
  const store = ["--store", join(acme.folder, "store")];
  const primary = ["--git-url", acme.fake.gitUrl, "--api-url", acme.fake.apiUrl];
  const run = async (...args: string[]) => {
    const result = await runCli([...args, ...store], OLGA);
    expect(result).toMatchObject({ exitCode: 0 });
    return result;
  };
  await run("connect", "acme", "--credential", "olga", ...primary);
  const mirror = await startMirror([...store, ...primary, "--poll-seconds", "3600"], {
    cwd: acme.folder,
    env: OLGA,
  });
  try {
    const available = async () => {
      const [workspace] = dataOf((await run("status", "--json")).stdout) as [
        { repositories: { slug: string; state: string }[] },
      ];
      return workspace.repositories.filter(({ state }) => state === "AVAILABLE").map(({ slug }) => slug);
    };
    const untilAvailable = (...slugs: string[]) =>
      vi.waitFor(async () => expect(await available()).toEqual(slugs), { timeout: 60_000, interval: 500 });
    await run("select", "acme", "--include", "vault", ...primary);
    await untilAvailable("vault");
    await run("select", "acme", "--project", "WEB", ...primary);
    await untilAvailable("site", "vault");
  } finally {
    await mirror.stop();
    await acme.close();
  }
});
