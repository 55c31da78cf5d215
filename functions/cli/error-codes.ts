/** What codes mean: of errors, as commands, records of failed syncs and the JSON API have them, and of repositories' states that need attention. */

interface CodeMeaning {
  readonly meaning: string;
  /** What to do next. */
  readonly next: string;
}

const WRONG_AWS_KEY = {
  meaning: "AWS rejects the credentials.",
  next: "AWS rejects the credentials: check AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and log in again.",
};
const NO_PERMISSION = {
  meaning: "The operating system denies access to a file or folder.",
  next: "This user has no permission: change the owner of the file or folder, or choose another one (--store).",
};

/** Of the mirror itself. */
const OWN_CODES = {
  ARGUMENTS: {
    meaning: "The command line is not understood.",
    next: "Read nearside <command> --help.",
  },
  CONFIG: {
    meaning: "A setting, config.json, an argument or an account is not valid, or contradicts another one.",
    next: "Correct what the message names; nearside config check checks both files.",
  },
  DEPENDENCIES: {
    meaning: "A package that the command needs is not installed.",
    next: "Run the line that the message names.",
  },
  UPSTREAM: {
    meaning: "Bitbucket could not be reached, failed, or refused the mirror's account.",
    next: "With 401 or 403 look at the account's token and scopes (nearside doctor); else try again later. Syncs are repeated by themselves.",
  },
  NOT_FOUND: {
    meaning: "Bitbucket, the store or the mirror has nothing under this name, or hides it from this account.",
    next: "Check the name, and the rights of the account.",
  },
  UNSUPPORTED: {
    meaning:
      "The repository is of a kind that the mirror does not support, such as one with SHA-256 object ids.",
    next: "Clone it from Bitbucket.",
  },
  LIMIT_EXCEEDED: {
    meaning:
      "Something is larger, or there is more of it, than a limit of the mirror; the message names the limit.",
    next: "See docs/limits.md for limits that a setting changes.",
  },
  OVERLOADED: {
    meaning: "Too much is under way already.",
    next: "Try again in a moment.",
  },
  PROTOCOL: {
    meaning: "An answer is not as its protocol specifies: of Bitbucket's git, of a client, or of a queue.",
    next: "A sync is repeated by itself. If it fails for hours, look for a proxy that changes answers.",
  },
  CORRUPT_PACK: {
    meaning: "Data of git is damaged: as Bitbucket sent it, or as the store has it.",
    next: "The next sync fetches it anew; nearside verify --deep shows what the store has.",
  },
  STORED_DOCUMENT: {
    meaning: "A JSON document in the store is damaged.",
    next: "The next sync makes most of them anew; nearside verify shows which repositories are affected.",
  },
  VERSION_CONFLICT: {
    meaning: "Another process changed the same thing first, several times in a row.",
    next: "Try again.",
  },
  QUEUE: {
    meaning: "The queue did not take all jobs.",
    next: "Try again: jobs that were taken are not repeated.",
  },
  DELIVERY: {
    meaning: "A receiver of the mirror's webhooks did not answer with 2xx.",
    next: "Check the receiver. Deliveries are repeated; nearside dead-letters has those that failed for good.",
  },
  RENAMED: {
    meaning: "The repository was renamed or replaced while it was read.",
    next: "Nothing: the next sync uses its new name.",
  },
  STOPPED: {
    meaning: "The process was stopped, or a function ran out of time.",
    next: "Nothing: the next run continues.",
  },
  BUCKET_REGION: {
    meaning: "The bucket is in another region than the one that was asked.",
    next: "Set AWS_REGION to the bucket's region.",
  },
  S3_UNSUPPORTED: {
    meaning: "The S3 server does not implement a part of S3 that the mirror needs.",
    next: "Use a server with conditional writes, such as AWS's S3 or Ceph 20.",
  },
  NOT_S3: {
    meaning: "What answers at the S3 address is no S3 server.",
    next: "Check --s3-endpoint, and what is in front of it.",
  },
  UNAUTHORIZED: {
    meaning: "The JSON API got no credential that Bitbucket accepts.",
    next: "Send the credential that git uses, by Basic or Bearer.",
  },
  BUSY: {
    meaning: "The JSON API could not decide about access just now.",
    next: "Try again in a moment.",
  },
  INTERNAL: {
    meaning: "A fault of the mirror's own.",
    next: "Report it with the lines that were printed, and the log.",
  },
} as const satisfies Record<string, CodeMeaning>;

export type ErrorCode = keyof typeof OWN_CODES;

/** States of repositories in which something is to be done, as `nearside status` shows them. */
const STATE_CODES = {
  NO_ACCESS: {
    meaning:
      "Bitbucket does not show the repository to the mirror's account: the account lacks the right to read it, or the repository was deleted.",
    next: "Give the account the right, then nearside sync <workspace>/<repository>. If it was deleted: nearside reconcile --accept-removals <workspace>/<repository>.",
  },
  ERROR_INITIALIZING: {
    meaning: "The first sync failed: nothing of the repository is served.",
    next: "See the cause below the table of nearside status --failed. The mirror tries again by itself; at once with nearside sync <workspace>/<repository>.",
  },
  ERROR_AVAILABLE: {
    meaning: "The last sync failed: the repository is served as of the sync before.",
    next: "See the cause below the table of nearside status --failed. The mirror tries again by itself; at once with nearside sync <workspace>/<repository>.",
  },
  DAMAGED: {
    meaning: "The repository's record or manifest in the store cannot be read.",
    next: "Run nearside verify <workspace>/<repository>, then nearside sync <workspace>/<repository>, which makes most of it anew.",
  },
} as const satisfies Record<string, CodeMeaning>;

/** As the system and the AWS SDK name what went wrong. */
const SYSTEM_CODES: ReadonlyMap<string, CodeMeaning> = new Map(
  Object.entries({
    EACCES: NO_PERMISSION,
    EPERM: NO_PERMISSION,
    EROFS: {
      meaning: "A disk cannot be written.",
      next: "The disk is read-only: choose another folder (--store).",
    },
    ENOSPC: { meaning: "A disk is full.", next: "The disk is full: free some space, then try again." },
    EDQUOT: {
      meaning: "A user's disk quota is used up.",
      next: "This user's disk quota is used up: free some space, then try again.",
    },
    ENOTDIR: {
      meaning: "A part of a path is a file.",
      next: "A part of the path is a file, not a folder: check the path.",
    },
    EISDIR: {
      meaning: "A path is a folder where a file is expected.",
      next: "The path is a folder, not a file: check the path.",
    },
    ENOENT: {
      meaning: "A file or folder is missing.",
      next: "There is no such file or folder: check the path.",
    },
    EEXIST: {
      meaning: "A file or folder exists already.",
      next: "The path exists already: choose another one.",
    },
    ENAMETOOLONG: { meaning: "A path is too long.", next: "The path is too long: choose a shorter one." },
    EMFILE: {
      meaning: "The process has too many open files.",
      next: "Too many open files: raise the limit with ulimit -n.",
    },
    EADDRINUSE: {
      meaning: "Another process listens at the address.",
      next: "Another process listens there: choose another port with --port, or --port 0 for a free one.",
    },
    EADDRNOTAVAIL: {
      meaning: "This machine does not have the address.",
      next: "This machine does not have the address: check --host.",
    },
    CredentialsProviderError: {
      meaning: "There are no AWS credentials.",
      next: "Log in with aws sso login, or set AWS_PROFILE, then try again.",
    },
    ECONNREFUSED: {
      meaning: "Nothing listens at the address.",
      next: "Nothing listens there: check the address, and that the server runs.",
    },
    ENOTFOUND: {
      meaning: "The host name is not known.",
      next: "There is no such host: check the address, and DNS.",
    },
    SignatureDoesNotMatch: WRONG_AWS_KEY,
    InvalidAccessKeyId: WRONG_AWS_KEY,
    UnrecognizedClientException: WRONG_AWS_KEY,
    InvalidClientTokenId: WRONG_AWS_KEY,
    RequestTimeTooSkewed: {
      meaning: "This machine's clock differs from AWS's.",
      next: "This machine's clock is wrong: let NTP set it, with timedatectl set-ntp true for example.",
    },
    ExpiredTokenException: {
      meaning: "The AWS credentials have expired.",
      next: "The AWS credentials have expired: log in again, with aws sso login for example.",
    },
    AccessDeniedException: {
      meaning: "The AWS credentials may not do it.",
      next: "The AWS credentials may not do that: for secrets it takes ssm:GetParameter, to make one ssm:PutParameter.",
    },
    ExpiredToken: {
      meaning: "The AWS credentials have expired.",
      next: "The AWS credentials have expired: log in again, with aws sso login for example.",
    },
    AccessDenied: {
      meaning: "The AWS credentials may not do it.",
      next: "The AWS credentials may not do that: it takes the rights to list, read, write and delete.",
    },
    NoSuchBucket: {
      meaning: "There is no such bucket.",
      next: "Check the bucket's name: the deployment prints it as BucketName.",
    },
    QueueDoesNotExist: {
      meaning: "There is no such queue.",
      next: "Check the queue's address: the deployment prints it as SyncQueueUrl and DeadLetterQueueUrl.",
    },
  }),
);

/** What is wrong outside of the mirror. */
export function systemCode(code: unknown): CodeMeaning | undefined {
  return typeof code === "string" ? SYSTEM_CODES.get(code) : undefined;
}

const MEANINGS: ReadonlyMap<string, CodeMeaning> = new Map([
  ...Object.entries(OWN_CODES),
  ...Object.entries(STATE_CODES),
  ...SYSTEM_CODES,
]);

export function errorCode(code: string): CodeMeaning | undefined {
  return MEANINGS.get(code);
}

export const ERROR_CODES: readonly string[] = [...MEANINGS.keys()];
