/** The tokens that tests use as credentials. Each is found nowhere but in requests, or else something has leaked. */

/** Of the callers of guarded-mirror.ts. */
export const TOKENS = {
  wanda: "wanda-secret-4f1c",
  rita: "rita-secret-9b2e",
  robot: "robot-secret-77d0",
  oauth: "oauth-secret-c3a8",
  stranger: "stranger-secret-15e6",
  expired: "expired-secret-e04b",
  veteran: "veteran-secret-2ab9",
} as const;

/** Of the account with which a mirror under test fetches. */
export const ACCOUNT_TOKEN = "account-secret-6d21";

/** Of a mirror under test: what callers are remembered under, and what webhooks are signed with. */
export const MIRROR_SECRET = "the secret of a mirror that is only tested";

const OTHERS = [
  ACCOUNT_TOKEN,
  MIRROR_SECRET,
  // Of fake-bitbucket/acme-workspace.ts.
  "wanda-token",
  "rita-token",
  "olga-token",
  "robot-token",
  "stranger-token",
  // Of test/interop/local-server.test.ts, access.test.ts, access-storm.test.ts and access-limits.test.ts.
  "rita-secret",
  "rita-page-token",
  "robot-page-token",
  "gina-page-token",
  "secret-token",
  "job-secret-",
  "guess-secret-",
  // Of test/interop/relay.test.ts and others.
  "relay-secret-of-tests-5d1c",
];

/** Each token as it is, and as it looks inside the base64 of `username:token`, wherever it begins there. */
export function searchedTexts(): string[] {
  return [...Object.values(TOKENS), ...OTHERS].flatMap((token) => [token, ...base64Forms(token)]);
}

function base64Forms(token: string): string[] {
  return [0, 1, 2].map((offsetBytes) => {
    const text = Buffer.from("x".repeat(offsetBytes) + token).toString("base64");
    // Without the digits that depend on what stands before and behind.
    return text.slice(
      offsetBytes === 0 ? 0 : offsetBytes + 1,
      4 * Math.floor((offsetBytes + token.length) / 3),
    );
  });
}
