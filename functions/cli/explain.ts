/** Presents errors of every program to people: what went wrong, and what to do next. A stack only where the error is a bug. */
import { ConfigError, MirrorError, NotFoundError, UpstreamError } from "../../lib/errors.ts";
import { type ErrorCode, systemCode } from "./error-codes.ts";
import { visible } from "./table.ts";

/** Done, with findings. */
export const EXIT_FINDINGS = 3;

/** Thrown at the end of a command that has printed findings. */
export class Findings extends Error {}

/** Thrown where git, run for the user, has failed and said why. */
export class GitFailed extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`git exited with ${exitCode}`);
    this.exitCode = exitCode;
  }
}

const STOP_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export type StopSignal = keyof typeof STOP_EXIT_CODES;

/** Thrown where a signal has ended a command that had to restore something first. */
export class Stopped extends Error {
  readonly signal: StopSignal;

  constructor(message: string, { signal, ...options }: ErrorOptions & { readonly signal: StopSignal }) {
    super(message, options);
    this.signal = signal;
  }

  get exitCode(): number {
    return STOP_EXIT_CODES[this.signal];
  }
}

export function exitCodeOf(error: unknown): number {
  return error instanceof ConfigError ? 2 : 1;
}

export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { text, advice, isExpected } = explanationOf(error);
  const shown = isExpected ? text : (error.stack ?? error.message);
  return advice === undefined ? shown : `${shown}\n  ${advice}`;
}

/** @returns For people: what went wrong with its code, then what to do next. */
export function explainWithCode(error: unknown): string {
  const [first = "", ...more] = explain(error).split("\n");
  return [`${first} [${errorCodeOf(error)}]`, ...more].join("\n");
}

/** As in `ERROR_CODES`, or the operating system's own. */
export function errorCodeOf(error: unknown): string {
  if (!(error instanceof Error)) return "INTERNAL";
  const ofS3 = s3Explanation(error);
  if (ofS3 !== undefined) return ofS3.code;
  const { code, name } = error as NodeJS.ErrnoException;
  for (const known of [code, name]) if (known !== undefined && systemCode(known) !== undefined) return known;
  return code !== undefined && (error instanceof MirrorError || isSystemError(error)) ? code : "INTERNAL";
}

interface Explanation {
  readonly text: string;
  /** What to do next, where that is known. */
  readonly advice?: string | undefined;
  /** Not a bug of this project. */
  readonly isExpected: boolean;
}

export function explanationOf(error: Error): Explanation {
  const ofS3 = s3Explanation(error);
  if (ofS3 !== undefined) return { ...ofS3, isExpected: true };
  const advice = adviceFor(error);
  const isExpected = error instanceof MirrorError || isSystemError(error) || advice !== undefined;
  // It may contain Bitbucket's text; what is wrong with config.json takes several lines.
  return { text: messageOf(error), advice, isExpected };
}

/** An error of the operating system: a file, an address, a connection. */
function isSystemError(error: Error): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return typeof code === "string" && typeof syscall === "string";
}

/** With its cause. */
export function messageOf(error: Error): string {
  return `${error.message}${causeOf(error)}`.split("\n").map(visible).join("\n");
}

function causeOf({ cause }: Error): string {
  return cause instanceof Error && cause.message !== "" ? `: ${cause.message.slice(0, 300)}` : "";
}

/** By status, as Bitbucket refuses. */
const REFUSALS: Readonly<Record<number, string>> = {
  401: "The credential is wrong, expired or revoked: make a new API token at id.atlassian.com, or an access token in the settings at Bitbucket, and store it in place of the old one.",
  403: "The credential lacks a scope or a right: it needs read:repository:bitbucket, for webhooks also read:webhook:bitbucket, write:webhook:bitbucket and delete:webhook:bitbucket.",
  429: "Bitbucket allows some 1,000 requests an hour: wait for the hour to pass, then try again.",
};

const DAMAGED_PRIMARY =
  "Bitbucket's own copy is damaged, and clones from there fail as well: push what is missing again, or ask Atlassian's support. The mirror serves the last good state.";

/** As lib/bitbucket/git-http-client.ts says it. */
export const UNSEEN_PRIMARY = "the primary has no such repository";

const UNSEEN_ADVICE =
  "If it exists at Bitbucket: give the mirror's account the right to read it, then nearside sync. If it was deleted there: nearside reconcile --accept-removals <workspace>/<repository>.";

const OTHER_STORE =
  "If the mirror's store is not .nearside/store below the current folder, name it: --store <folder or s3://bucket>, or server.store in nearside.config.json.";

/** @returns What to do next, where that is known. */
function adviceFor(error: Error): string | undefined {
  if (error instanceof ConfigError && error.context["lacks"] === "workspace") return OTHER_STORE;
  if (error instanceof UpstreamError) {
    if (error.message.includes("repository corruption")) return DAMAGED_PRIMARY;
    const refusal = REFUSALS[Number(error.context["status"])];
    if (refusal !== undefined || !error.retryable) return refusal;
    return "Try again later, and look at https://bitbucket.status.atlassian.com.";
  }
  if (error instanceof NotFoundError && error.message.startsWith("Bitbucket"))
    return "Check the name, and that the account may see it: Bitbucket says the same for both.";
  if (error instanceof NotFoundError && error.message.startsWith(UNSEEN_PRIMARY)) return UNSEEN_ADVICE;
  const named = error as { readonly code?: unknown; readonly name: string };
  return systemCode(named.code)?.next ?? systemCode(named.name)?.next;
}

/** The fields of the SDK's exceptions that are used here. */
interface S3Answer {
  readonly name: string;
  readonly message: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string | undefined>> };
}

export const CONDITIONS_ADVICE =
  "Use a store with conditional writes, such as AWS's S3 or Ceph 20: without them, two writers would overwrite each other's work.";

/**
 * What S3 servers, and what is mistaken for one, answer when the store cannot be used.
 * @returns `undefined` for any other error, and for those whose own message is clear.
 */
function s3Explanation(
  error: Error,
): { readonly code: ErrorCode; readonly text: string; readonly advice: string } | undefined {
  const { name, $metadata, $response }: S3Answer = error;
  const status = $metadata?.httpStatusCode;
  if (status === undefined) return undefined;
  const region = $response?.headers?.["x-amz-bucket-region"];
  if (status === 301 || name === "PermanentRedirect" || name === "AuthorizationHeaderMalformed")
    return {
      code: "BUCKET_REGION",
      text:
        region === undefined
          ? "the bucket is in another region"
          : `the bucket is in region ${visible(region)}`,
      advice: `Set AWS_REGION to ${region === undefined ? "its region" : visible(region)}; with --s3-endpoint, name that region's endpoint.`,
    };
  if (status === 501)
    return {
      code: "S3_UNSUPPORTED",
      text: "the S3 server does not implement a part of S3 that the mirror needs",
      advice: CONDITIONS_ADVICE,
    };
  // The SDK's name for what is not S3's XML.
  if (name === "Unknown" || name === "UnknownError")
    return {
      code: "NOT_S3",
      text: `the S3 server answers ${status}, with something that is not S3's`,
      advice:
        "Check --s3-endpoint, and what is in front of it: a proxy, a console or another server may answer there.",
    };
  return undefined;
}
