/** The names of the deployed functions' environment variables: infra/ sets them, lib/config.ts reads them. */
export const ENV = {
  /** Name of the bucket that holds the mirrored repositories. */
  bucket: "NEARSIDE_BUCKET",
  /** Where the primary serves git and its REST API; set to mirror from a stand-in. */
  gitUrl: "NEARSIDE_GIT_URL",
  apiUrl: "NEARSIDE_API_URL",
  /** Begins the names of the SSM parameters with the mirror's secrets: the accounts that config.json names, and its own. */
  secretPath: "NEARSIDE_SECRET_PATH",
  /** Where webhooks reach the mirror. */
  mirrorUrl: "NEARSIDE_MIRROR_URL",
  /** Tells its webhooks from those of other mirrors. */
  mirrorName: "NEARSIDE_MIRROR_NAME",
  /** Where sync jobs come from. */
  syncQueueUrl: "NEARSIDE_SYNC_QUEUE_URL",
  /** Where messages to the relay's receivers come from. */
  relayQueueUrl: "NEARSIDE_RELAY_QUEUE_URL",
  /** Name of the secret in Secrets Manager under which callers are remembered. */
  authSecret: "NEARSIDE_AUTH_SECRET_NAME",
  anonymous: "NEARSIDE_ANONYMOUS",
  anonymousPerMinute: "NEARSIDE_ANONYMOUS_PER_MINUTE",
  anonymousTotalPerMinute: "NEARSIDE_ANONYMOUS_TOTAL_PER_MINUTE",
  wrongCredentialsPerMinute: "NEARSIDE_WRONG_CREDENTIALS_PER_MINUTE",
  staleMinutes: "NEARSIDE_STALE_MINUTES",
  waitSeconds: "NEARSIDE_WAIT_SECONDS",
  push: "NEARSIDE_PUSH",
  /** Where webhooks may come from. */
  webhookAddresses: "NEARSIDE_WEBHOOK_ADDRESSES",
  redirectUnmirrored: "NEARSIDE_REDIRECT_UNMIRRORED",
  logLevel: "NEARSIDE_LOG_LEVEL",
} as const;
