import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { type ApiGatewayEvent, requestOfEvent } from "../../../lib/http/api-gateway-event.ts";
import type { HttpRequest } from "../../../lib/http/message.ts";

function request(event: Partial<ApiGatewayEvent>): HttpRequest {
  const complete = { httpMethod: "GET", path: "/acme/app.git/info/refs", ...event };
  return requestOfEvent(complete, new AbortController().signal);
}

test("an event without optional fields is a request without query, headers or body", async () => {
  const empty = { headers: null, multiValueHeaders: null, multiValueQueryStringParameters: null, body: null };
  const { method, path, query, headers, body } = request(empty);
  expect({ method, path, query: [...query], headers }).toEqual({
    method: "GET",
    path: "/acme/app.git/info/refs",
    query: [],
    headers: { "content-length": "0" },
  });
  expect(await buffer(body)).toHaveLength(0);
});

test.each([
  ["/git/acme/app", "/acme/app", "/git"],
  ["/git/", "/", "/git"],
  // With a domain of its own.
  ["/acme/app", "/acme/app", ""],
  [undefined, "/acme/app", ""],
])("what is before the path: of %s and %s, it is %j", (wholePath, path, basePath) => {
  expect(request({ path, requestContext: { ...(wholePath && { path: wholePath }) } }).basePath).toBe(
    basePath,
  );
});

test("header names are lower case and repeated values joined", () => {
  const { headers } = request({
    headers: { "Git-Protocol": "version=2", Via: "b" },
    multiValueHeaders: { "Git-Protocol": ["version=2"], Via: ["a", "b"] },
  });
  expect(headers).toMatchObject({ "git-protocol": "version=2", via: "a, b" });
});

test("query values that API Gateway decoded are not decoded again", () => {
  const { query } = request({ multiValueQueryStringParameters: { service: ["a%20b", "c+d"] } });
  expect(query.getAll("service")).toEqual(["a%20b", "c+d"]);
});

test("a base64 body is decoded, another taken as UTF-8", async () => {
  const bytes = Buffer.from([0, 255, 10]);
  const encoded = request({ body: bytes.toString("base64"), isBase64Encoded: true });
  expect(await buffer(encoded.body)).toEqual(bytes);
  const plain = request({ body: "{}ä", isBase64Encoded: false });
  expect((await buffer(plain.body)).toString()).toBe("{}ä");
});

test.each([
  { encoding: "gzip", body: [0x1f, 0x8b, 8], expected: "gzip" },
  { encoding: "gzip", body: [0x30, 0x30, 0x30], expected: undefined },
  { encoding: "X-GZIP", body: [], expected: undefined },
  { encoding: "gzip", body: [0x1f], expected: undefined },
  { encoding: "br", body: [0x30], expected: "br" },
])("content-encoding $encoding of body $body becomes $expected", ({ encoding, body, expected }) => {
  const { headers } = request({
    multiValueHeaders: { "Content-Encoding": [encoding], "Content-Length": ["999"] },
    body: Buffer.from(body).toString("base64"),
    isBase64Encoded: true,
  });
  expect(headers["content-encoding"]).toBe(expected);
  expect(headers).toHaveProperty("content-length", String(body.length));
});
