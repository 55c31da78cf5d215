/** Errors on their way between threads: structured cloning loses an error's class and fields. */
import { CorruptPackError, LimitExceededError, type MirrorError } from "../errors.ts";

export interface DescribedError {
  readonly code: string;
  readonly message: string;
  readonly context: Readonly<Record<string, unknown>>;
  readonly stack: string | undefined;
}

export function describeError(error: unknown): DescribedError {
  if (!(error instanceof Error))
    return { code: "UNKNOWN", message: String(error), context: {}, stack: undefined };
  const { code = "UNKNOWN", context = {} } = error as Partial<MirrorError>;
  return { code, message: error.message, context, stack: error.stack };
}

export function revivedError({ code, message, context, stack }: DescribedError): Error {
  if (code === "CORRUPT_PACK") return new CorruptPackError(message, context);
  if (code === "LIMIT_EXCEEDED") return new LimitExceededError(message, context);
  return new Error(`indexing thread failed: ${stack ?? message}`);
}
