import { expect, test } from "vitest";
import { readAuthSecret, readWebhookKey } from "../../functions/local/secrets.ts";
import { ConfigError } from "../../lib/errors.ts";
import { secretKeys } from "../../lib/secret-keys.ts";
import { ensureWebhookSecret, readWebhookSecret } from "../../lib/webhook/webhook-secret.ts";

const OLD = "o".repeat(32);
const NEW = "n".repeat(32);
const SHORT = OLD.slice(1);

test("several keys are separated by commas; one secret may be short, and a comma may be left at the end", () => {
  for (const text of ["", "short", OLD]) expect(secretKeys(text)).toEqual([text]);
  expect(secretKeys(`${NEW}, ${OLD}`)).toEqual([NEW, OLD]);
  expect(secretKeys(`${NEW},${OLD}, `)).toEqual([NEW, OLD]);
  expect(secretKeys(`${NEW},`)).toEqual([NEW]);
});

test.each([`${NEW},${SHORT}`, `${SHORT},${NEW}`, "one, two", "one,", `${NEW},,${OLD}`, `,${OLD}`, ","])(
  "with a key that is too short, %j, nothing starts: the old key would count no more, without a message",
  async (text) => {
    const has32 = /has a comma.*32 characters/;
    expect(() => secretKeys(text)).toThrow(has32);
    expect(() => readWebhookKey({ NEARSIDE_WEBHOOK_SECRET: text })).toThrow(/^NEARSIDE_WEBHOOK_SECRET has/);
    if (text.length >= 32)
      await expect(readAuthSecret({ NEARSIDE_AUTH_SECRET: text }, "s3://store")).rejects.toThrow(
        /^NEARSIDE_AUTH_SECRET has/,
      );
    const read = async () => text;
    await expect(readWebhookSecret(read, "/nearside/webhook-secret")).rejects.toThrow(ConfigError);
    await expect(ensureWebhookSecret(read, async () => false, "/nearside/webhook-secret")).rejects.toThrow(
      /^\/nearside\/webhook-secret has/,
    );
  },
);
