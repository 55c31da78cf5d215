import { expect, test } from "vitest";
import { hintOf } from "../../../lib/auth/primary-hint.ts";

const hint = (body: ConstructorParameters<typeof Response>[0], type = "text/plain", authorization?: string) =>
  hintOf(new Response(body, { headers: type === "" ? {} : { "content-type": type } }), authorization);

test.each([
  ["Your token has expired.", "text/plain", "Your token has expired."],
  ["  two\r\n\tlines \u2028 of text  ", "Text/Plain ; charset=utf-8", "two lines of text"],
  ["\u001b[31mred\u0007\u009b1m\u202eback", "text/plain", "[31mred 1m back"],
  ['{"error":{"message":"no scope"}}', "application/json", "no scope"],
  ['{"error":{"message":7}}', "application/json", undefined],
  ['{"error":null}', "application/json", undefined],
  ['{"message":"no"}', "application/json", undefined],
  ["not JSON", "application/json", undefined],
  ["<p>Log in</p>", "text/html", undefined],
  ["text", "", undefined],
  [" \n ", "text/plain", undefined],
  [null, "text/plain", undefined],
])("%j as %s is %j", async (body, type, expected) => {
  expect(await hint(body === null ? null : new TextEncoder().encode(body), type)).toBe(expected);
});

test("a long one is cut, and no more than its beginning is read", async () => {
  expect(await hint("x".repeat(300))).toBe("x".repeat(300));
  expect(await hint("x".repeat(301))).toBe(`${"x".repeat(300)}…`);
  let pulled = 0;
  const endless = new ReadableStream({
    pull: (controller) => {
      pulled += 1;
      controller.enqueue(new TextEncoder().encode("y".repeat(1024)));
    },
  });
  expect(await hint(endless)).toBe(`${"y".repeat(300)}…`);
  expect(pulled).toBeLessThan(8);
});

test("one that repeats the credential is not passed on", async () => {
  const basic = `Basic ${btoa("ada:planted-secret")}`;
  expect(await hint("wrong password planted-secret", "text/plain", basic)).toBeUndefined();
  expect(await hint(`wrong header ${btoa("ada:planted-secret")}`, "text/plain", basic)).toBeUndefined();
  expect(await hint("token abcdef is wrong", "text/plain", "Bearer abcdef")).toBeUndefined();
  expect(await hint("ada is unknown", "text/plain", basic)).toBe("ada is unknown");
  expect(await hint("empty", "text/plain", `Basic ${btoa("ada:")}`)).toBe("empty");
  expect(await hint("none", "text/plain", "")).toBe("none");
});
