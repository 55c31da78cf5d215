/** A git credential helper that answers from a table of hosts and writes down what git wants of it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface CredentialHelper {
  /** For git's command line, before the command. */
  readonly options: readonly string[];
  /** What git has called it for since the last call: `get`, `store` or `erase`, and the host. */
  takeCalls(): Promise<string[]>;
}

export async function makeCredentialHelper(
  folder: string,
  credentials: Readonly<Record<string, { readonly username: string; readonly password: string }>>,
): Promise<CredentialHelper> {
  const log = join(folder, "credential-calls");
  const cases = Object.entries(credentials).map(
    ([host, { username, password }]) => `${host}) printf 'username=${username}\\npassword=${password}\\n';;`,
  );
  const script = `#!/bin/sh
host=$(sed -n 's/^host=//p')
echo "$1 $host" >>'${log}'
[ "$1" = get ] || exit 0
case "$host" in
${cases.join("\n")}
esac
`;
  const program = join(folder, "credential-helper");
  await writeFile(program, script, { mode: 0o755 });
  await writeFile(log, "");
  return {
    options: ["-c", "credential.helper=", "-c", `credential.helper=${program}`],
    async takeCalls() {
      const text = await readFile(log, "utf8");
      await writeFile(log, "");
      return text.split("\n").filter((line) => line !== "");
    },
  };
}
