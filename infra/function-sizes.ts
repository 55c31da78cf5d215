/** Memory and time of the functions that need less than the default. */
import { Duration } from "aws-cdk-lib";

/** It waits for the primary, mostly; more memory only makes it start sooner. */
export const AUTHORIZER_MEMORY_MIB = 512;
/** API Gateway gives up on an authorizer after 29 s. */
export const AUTHORIZER_TIMEOUT = Duration.seconds(29);

/** It waits for syncs, mostly. */
export const STATUS_MEMORY_MIB = 256;
/** Of lib/git-http/status.ts, and some for a start and the answer. */
export const STATUS_TIMEOUT = Duration.minutes(5);

/** A page waits for Bitbucket's list at most 10 s. */
export const PAGES_MEMORY_MIB = 512;
export const PAGES_TIMEOUT = Duration.seconds(29);
/** It waits for Bitbucket and the store, while a person waits for it. */
export const ADMINISTER_MEMORY_MIB = 1024;

/** Bitbucket gives up after ten seconds. */
export const WEBHOOK_TIMEOUT = Duration.seconds(9);

/** It waits for receivers, ten seconds at the most for each. */
export const RELAY_MEMORY_MIB = 512;
export const RELAY_TIMEOUT = Duration.minutes(1);
