/** An error of the mirror's, in words for administrators. */
import { type MirrorError, VersionConflictError } from "../errors.ts";

export function wordsOf(error: MirrorError): string {
  return error instanceof VersionConflictError
    ? "others changed the same at the same time; try again"
    : error.message;
}
