import { jsonEnvelope } from "../../lib/json-envelope.ts";

/** What `--json` prints. @param isOneLine - Where more than one may be printed. */
export function printJson(schema: string, data: object, isOneLine = false): void {
  const text = JSON.stringify(jsonEnvelope(schema, data, Date.now()), undefined, isOneLine ? 0 : 2);
  process.stdout.write(`${text}\n`);
}
