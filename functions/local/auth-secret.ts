/** The secret under which a local mirror remembers who was allowed what. */
import { randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../../lib/errors.ts";
import { RESERVED_SEGMENT } from "../../lib/store/blob-key.ts";
import { FILE_MODE, makeFolder } from "../../lib/store/folder.ts";

const FILE = "auth-secret";

/**
 * From the environment; else for a folder store from a file in it, which is made. Else it lasts for this run only, and a
 * restart forgets who was allowed what.
 * @throws {ConfigError} It is too short to be a secret.
 */
export async function readAuthSecret(
  env: Readonly<Record<string, string | undefined>>,
  location: string,
): Promise<string> {
  const given = env["NEARSIDE_AUTH_SECRET"] || undefined;
  if (given !== undefined) {
    if (given.length < 32) throw new ConfigError("NEARSIDE_AUTH_SECRET must have 32 characters at least");
    return given;
  }
  const made = randomBytes(32).toString("hex");
  if (location.startsWith("s3://")) return made;
  const file = join(location, RESERVED_SEGMENT, FILE);
  const unfinished = `${file}.${process.pid}`;
  await makeFolder(join(location, RESERVED_SEGMENT));
  await writeFile(unfinished, made, { mode: FILE_MODE });
  try {
    // Whole at once, and only if there is none: another mirror may start at the same time.
    await link(unfinished, file);
    return made;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(unfinished);
  }
  const kept = await readFile(file, "utf8");
  if (kept.length < 32) throw new ConfigError(`${file} was cut off: remove it, and start again`);
  return kept;
}
