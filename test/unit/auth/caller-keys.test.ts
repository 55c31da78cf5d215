import { expect, test } from "vitest";
import { CallerKeys } from "../../../lib/auth/caller-keys.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const keys = new CallerKeys(SECRET);

test("a credential's key does not change between releases: it is the HMAC of its plain spelling", () => {
  // printf 'caller\nbasic YTpi' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
  const byOpenssl = "2da437bae98e169651d146fbfd0f075f98b8d23444fac1050d5a8bacf753f24e";
  expect(keys.callerKey("Basic YTpi")).toBe(byOpenssl);
  expect(keys.loggedName("Basic YTpi")).toBe(byOpenssl.slice(0, 12));
  expect(keys.callerKey(undefined)).toBe("b1d710d0cdc9b512849285dbfeed41d3bea9e4eb601b28563f5eed9bebec59f4");
  expect(keys.loggedName(undefined)).toBe("anonymous");
});

test.each([
  ["basic YTpi", "Basic YTpi"],
  ["  BASIC   YTpi  ", "Basic YTpi"],
  ["Basic YWE6Yg==", "Basic YWE6Yg"],
  ["Basic !Y*T~p.i", "Basic YTpi"],
  ["Basic Y T p i", "Basic YTpi"],
  ["Basic YTpi===", "Basic YTpi"],
  ["Basic Pz8_", "Basic Pz8/"],
  ["Bearer abc", "bearer abc"],
])("%j is the same credential as %j", (one, other) => {
  expect(keys.callerKey(one)).toBe(keys.callerKey(other));
});

test.each([
  ["Basic YTpi", "Basic YTpj"],
  ["Bearer abc", "Bearer abC"],
  ["Bearer YTpi=", "Bearer YTpi"],
  ["Basic YTpi YTpi", "Basic YTpi"],
  ["Basic", "basic"],
])("%j is another credential than %j", (one, other) => {
  expect(keys.callerKey(one)).not.toBe(keys.callerKey(other));
});

test("a question's key is of credential, path and repository together, and of nothing else's", () => {
  const question = { authorization: "Basic YTpi", repositoryPath: "acme/site", uuid: "u" };
  const key = keys.questionKey(question);
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(keys.questionKey({ ...question, authorization: "basic YTpi" })).toBe(key);
  const others = [
    { ...question, authorization: "Basic YTpj" },
    { ...question, authorization: undefined },
    { ...question, repositoryPath: "acme/other" },
    { ...question, uuid: "v" },
    { authorization: "Basic YTpi", repositoryPath: "acme/site" },
    { ...question, repositoryPath: "acme/siteu", uuid: "" },
  ];
  const all = [key, ...others.map((other) => keys.questionKey(other)), keys.callerKey("Basic YTpi")];
  expect(new Set(all).size).toBe(all.length);
  expect(new CallerKeys(`${SECRET}x`).questionKey(question)).not.toBe(key);
});

test("a short secret is refused", () => {
  expect(() => new CallerKeys(SECRET.slice(1))).toThrow("shorter than 32 characters");
});
