/** Wires the decision about access, for a process with the mirror's store and a connection to the primary. */
import { askPrimaryByGit } from "../auth/ask-primary.ts";
import { Authorizer, DEFAULT_AUTHORIZER_LIMITS } from "../auth/authorizer.ts";
import { CallerKeys } from "../auth/caller-keys.ts";
import { RequestRate, WrongCredentials } from "../auth/request-limits.ts";
import type { Logger } from "../log.ts";
import { resolveRepository } from "../repo/resolve-repository.ts";
import { textBlobs } from "../repo/text-blobs.ts";
import type { WholeBlobs } from "../store/blob-store.ts";
import { type DecideAccess, decideAccess } from "./decide-access.ts";
import { type ProbeOptions, probePrimary } from "./probe-primary.ts";
import { showsPublishedRefs } from "./same-refs.ts";

/** The operator's settings. */
interface AccessSettings {
  /** Whether public repositories need no credential. */
  readonly allowsAnonymous: boolean;
  /** Requests without a credential from one address, and from all; 0: no limit. */
  readonly anonymousPerMinute: number;
  readonly anonymousTotalPerMinute: number;
  /** Different credentials that the primary rejects, from one address; 0: no limit. */
  readonly wrongCredentialsPerMinute: number;
  /** How long the last yes counts during an outage of the primary; 0: not at all. */
  readonly staleMinutes: number;
  /** See `DecideAccessOptions`. */
  readonly relaysPushes: boolean;
}

export interface AccessOverStoreOptions {
  readonly store: WholeBlobs;
  /** See `ProbeOptions`. */
  readonly probeQuestions: ProbeOptions["questions"];
  /** The same in all processes of the mirror; see `CallerKeys`. */
  readonly secret: string;
  readonly fetch: typeof fetch;
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
  readonly agent: string;
  readonly settings: AccessSettings;
  readonly log: Logger;
  readonly now?: () => number;
}

export function accessOverStore(options: AccessOverStoreOptions): DecideAccess {
  const { store, secret, fetch, gitUrl, agent, settings, log, now = Date.now } = options;
  const askPrimary = askPrimaryByGit({
    fetch,
    gitUrl,
    agent,
    showsServed: (uuid, advertisement) => showsPublishedRefs(store, uuid, advertisement),
  });
  return decideAccess({
    authorizer: new Authorizer({
      askPrimary,
      probePrimary: probePrimary({ askPrimary, questions: options.probeQuestions, log }),
      keys: new CallerKeys(secret),
      store: textBlobs(store),
      log,
      wrongCredentials: new WrongCredentials(settings.wrongCredentialsPerMinute, now),
      limits: { ...DEFAULT_AUTHORIZER_LIMITS, staleMs: settings.staleMinutes * 60_000 },
      now,
    }),
    lookUp: (asked) => resolveRepository(store, asked),
    allowsAnonymous: settings.allowsAnonymous,
    relaysPushes: settings.relaysPushes,
    anonymousRate: new RequestRate(settings.anonymousPerMinute, now),
    anonymousTotalRate: new RequestRate(settings.anonymousTotalPerMinute, now),
    log,
  });
}
