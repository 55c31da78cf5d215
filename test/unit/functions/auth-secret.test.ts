import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readAuthSecret } from "../../../functions/local/secrets.ts";
import { ConfigError } from "../../../lib/errors.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";

test("a folder store keeps its secret for its owner only; a bucket gets another each time", async () => {
  await using folder = await temporaryFolder();
  const made = await readAuthSecret({}, folder.path);
  expect(made).toMatch(/^[0-9a-f]{64}$/);
  expect(await readAuthSecret({}, folder.path)).toBe(made);
  const file = join(folder.path, ".nearside/auth-secret");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readAuthSecret({}, "s3://bucket")).not.toBe(await readAuthSecret({}, "s3://bucket"));
  await writeFile(file, "cut");
  await expect(readAuthSecret({}, folder.path)).rejects.toThrow(ConfigError);
});

test("the environment comes first, and a short secret is refused without being repeated", async () => {
  const secret = "from the environment and long enough";
  expect(await readAuthSecret({ NEARSIDE_AUTH_SECRET: secret }, "/nowhere")).toBe(secret);
  const short = readAuthSecret({ NEARSIDE_AUTH_SECRET: "hunter2" }, "/nowhere");
  await expect(short).rejects.toThrow("32 characters");
  await expect(short).rejects.not.toThrow("hunter2");
});
