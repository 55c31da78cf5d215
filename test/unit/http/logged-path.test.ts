import { expect, test } from "vitest";
import { loggedPath, loggedText } from "../../../lib/http/logged-path.ts";

test.each([
  ["/acme/one.git/info/refs", "/acme/one.git/info/refs"],
  ["/-/t/abc.def/acme/one.git/info/refs", "/-/t/***/acme/one.git/info/refs"],
  ["/-/t/abc", "/-/t/***"],
])("a logged path: %s", (path, expected) => expect(loggedPath(path)).toBe(expected));

test.each([
  [
    "warning: redirecting to https://tier.example.com/-/t/abc.def/acme/one.git/",
    "warning: redirecting to https://tier.example.com/-/t/***/acme/one.git/",
  ],
  [
    "fatal: unable to access 'https://tier.example.com/base/-/t/abc.def': The requested URL returned error: 403",
    "fatal: unable to access 'https://tier.example.com/base/-/t/***': The requested URL returned error: 403",
  ],
  [
    "fatal: http-fetch of https://b.s3.example/p?X-Amz-Signature=aa&b=c failed",
    "fatal: http-fetch of https://b.s3.example/p?*** failed",
  ],
  [
    "remote: http://x-token-auth:secret@git.example.com/a.git not found",
    "remote: http://***@git.example.com/a.git not found",
  ],
  [
    "two: https://a.example/x?y https://b.example/-/t/z/w",
    "two: https://a.example/x?*** https://b.example/-/t/***/w",
  ],
  ["no address", "no address"],
])("a message: %s", (text, expected) => expect(loggedText(text)).toBe(expected));
