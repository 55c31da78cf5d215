/** The errors this project throws on purpose. A class exists where a caller acts differently on it. */

/** `cause` is the error underneath; every other field is logged. */
export interface ErrorDetails {
  readonly cause?: unknown;
  readonly [field: string]: unknown;
}

/** Base of every error this project throws on purpose. */
export abstract class MirrorError extends Error {
  /** Stable, greppable; what the HTTP layer and alarms switch on. */
  abstract readonly code: string;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(message: string, { cause, ...context }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.context = context;
  }
}

/** The other side broke the protocol. Answered with 400 or an ERR packet; a retry cannot help. */
export class ProtocolError extends MirrorError {
  readonly code = "PROTOCOL";
}

/** What was asked for is not there. */
export class NotFoundError extends MirrorError {
  readonly code = "NOT_FOUND";
}

/** Another writer was first. Read again, then retry. */
export class VersionConflictError extends MirrorError {
  readonly code = "VERSION_CONFLICT";
}

/** A JSON document in the store is damaged: not JSON, not of its form, or not what its checksum says. */
export class StoredDocumentError extends MirrorError {
  readonly code = "STORED_DOCUMENT";
}

/** Pack or object bytes contradict themselves. The repository needs a new sync; a retry of the read cannot help. */
export class CorruptPackError extends MirrorError {
  readonly code = "CORRUPT_PACK";
}

/** What the store holds of a repository is missing or broken. A sync that sees it fetches everything anew. */
export class DamagedRepositoryError extends CorruptPackError {}

/** The primary failed or refused. `retryable` says whether the same request may work later. */
export class UpstreamError extends MirrorError {
  readonly code = "UPSTREAM";
  readonly retryable: boolean;
  /** What the primary's `Retry-After` asked for. */
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, details: ErrorDetails & { retryable: boolean; retryAfterSeconds?: number }) {
    super(message, details);
    this.retryable = details.retryable;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

/** An answer without what the mirror needs. Other answers of the primary may be fine. */
export class UnexpectedAnswerError extends UpstreamError {}

/** The primary's repository is of a kind that this release does not mirror. It stays so: nothing is retried for hours. */
export class UnsupportedRepositoryError extends MirrorError {
  readonly code = "UNSUPPORTED";
}

/** Outside bytes asked for more than a limit allows; the message names the limit. */
export class LimitExceededError extends MirrorError {
  readonly code = "LIMIT_EXCEEDED";
}

/** Too much is under way already. Nothing is wrong with the request, which may be repeated. */
export class OverloadedError extends MirrorError {
  readonly code = "OVERLOADED";
  /** 408: the caller was too slow. 429: the caller itself has too much under way. 503: all callers together. */
  readonly status: 408 | 429 | 503;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    message: string,
    details: ErrorDetails & { status: 408 | 429 | 503; retryAfterSeconds?: number },
  ) {
    super(message, details);
    this.status = details.status;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

/** The queue did not accept a message. The sender sends it again. */
export class QueueError extends MirrorError {
  readonly code = "QUEUE";
}

/** A receiver of the relay could not be reached, or rejected the event. */
export class DeliveryError extends MirrorError {
  readonly code = "DELIVERY";
}

/** While a repository was fetched by its name, the name came to mean another one: what was fetched counts for nothing. */
export class RenamedError extends MirrorError {
  readonly code = "RENAMED";
}

/** The work was stopped from outside: its time is up, or the process is to end. Nothing is wrong with it. */
export class StoppedError extends MirrorError {
  readonly code = "STOPPED";
}

/** The same, and a part of the work was done and stored: the next try continues from there, and should come soon. */
export class UnfinishedError extends StoppedError {}

/** @returns Whether it is the reason of `AbortSignal.timeout`. */
export function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === "TimeoutError";
}

/** @throws {StoppedError} The signal has aborted. */
export function assertNotStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new StoppedError("stopped before it was done", { cause: signal.reason });
}

/**
 * Cleans up after a failure without hiding it: `throw await afterCleanUp(error, () => upload.abort())`.
 * @returns `error`, always. What the clean-up fails with becomes its `suppressed`, which logs show.
 */
export async function afterCleanUp<Failure>(
  error: Failure,
  cleanUp: () => Promise<unknown>,
): Promise<Failure> {
  try {
    await cleanUp();
  } catch (suppressed) {
    suppress(error, suppressed);
  }
  return error;
}

/**
 * Cleans up after success and failure, as `finally` does; but of two errors the first one is thrown, see
 * {@link afterCleanUp}.
 */
export async function withCleanUp<Result>(
  work: () => Promise<Result>,
  cleanUp: () => Promise<unknown>,
): Promise<Result> {
  let result: Result;
  try {
    result = await work();
  } catch (error) {
    throw await afterCleanUp(error, cleanUp);
  }
  await cleanUp();
  return result;
}

function suppress(error: unknown, later: unknown): void {
  if (!(error instanceof Error) || error === later) return;
  const { suppressed: earlier } = error as { suppressed?: unknown };
  if (earlier !== undefined) suppress(earlier, later);
  else Object.defineProperty(error, "suppressed", { value: later, configurable: true, writable: true });
}

/** @returns For `catch`: gives `value` in place of an error of this class, and throws any other. */
export function insteadOf<Value>(
  kind: abstract new (...details: never[]) => MirrorError,
  value: Value,
): (error: unknown) => Value {
  return (error) => {
    if (error instanceof kind) return value;
    throw error;
  };
}

/** A setting is missing or wrong; the message names it and what to do. */
export class ConfigError extends MirrorError {
  readonly code = "CONFIG";
}

/** A newer release wrote a document that this one must not use. Another release, or other data, is needed. */
export class NewerReleaseError extends ConfigError {}

/** @returns Whether `error` is about one document in the store, so that work on others need not stop. */
export function isUnreadableDocument(error: unknown): error is MirrorError {
  return error instanceof StoredDocumentError || error instanceof NewerReleaseError;
}

/** What a log line about `error` has: its code and context, the messages of its causes, and what failed in its clean-up. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  return {
    ...(error instanceof MirrorError ? { code: error.code, ...error.context } : { stack: error.stack }),
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: errorFields(error.cause) }),
    ...("suppressed" in error && { suppressed: errorFields(error.suppressed) }),
  };
}
