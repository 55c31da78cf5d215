import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import {
  ConfigError,
  CorruptPackError,
  LimitExceededError,
  NotFoundError,
  ProtocolError,
  UpstreamError,
  VersionConflictError,
} from "../../../lib/errors.ts";
import { errorResponse, textResponse } from "../../../lib/http/error-response.ts";

describe("errorResponse", () => {
  test.each([
    { error: new ProtocolError("unknown\ncommand  x"), status: 400, body: "unknown command x\n" },
    {
      error: new NotFoundError("no manifest of acme/secret"),
      status: 404,
      body: expect.stringMatching(/^not found: [^\n]+\n$/),
    },
    { error: new LimitExceededError("more than 100 wants"), status: 413, body: "more than 100 wants\n" },
    {
      error: new UpstreamError("login of u:p failed", { retryable: false }),
      status: 502,
      body: "the primary refused or failed\n",
    },
    {
      error: new UpstreamError("ECONNRESET 10.0.0.1", { retryable: true }),
      status: 503,
      body: "the primary cannot be reached right now, please retry\n",
    },
    { error: new CorruptPackError("x"), status: 500, body: "internal error of the mirror\n" },
    { error: new VersionConflictError("x"), status: 500, body: "internal error of the mirror\n" },
    { error: new ConfigError("x"), status: 500, body: "internal error of the mirror\n" },
    { error: new TypeError("x is not a function"), status: 500, body: "internal error of the mirror\n" },
    { error: "thrown text", status: 500, body: "internal error of the mirror\n" },
  ])("answers $error with $status", async ({ error, status, body }) => {
    const response = errorResponse(error);
    expect(response.status).toBe(status);
    const shown = await text(response.body);
    expect(shown).toEqual(body);
    expect(response.headers).toMatchObject({ "content-length": String(shown.length) });
  });

  test("says when to come back, in whole seconds and not before the primary allows", () => {
    const error = new UpstreamError("429", { retryable: true, retryAfterSeconds: 2.1 });
    expect(errorResponse(error).headers).toHaveProperty("retry-after", "3");
    const unknown = new UpstreamError("503", { retryable: true });
    expect(errorResponse(unknown).headers).toHaveProperty("retry-after", "30");
  });
});

test("textResponse counts bytes, not characters", async () => {
  const response = textResponse(200, "ä", { "x-more": "1" });
  expect(response.headers).toMatchObject({ "content-length": "3", "x-more": "1" });
  expect(await text(response.body)).toBe("ä\n");
});
