/** Where the download of an LFS file may lead to, and what is sent there. */
import { expect, test } from "vitest";
import { lfsClient } from "../../../lib/bitbucket/lfs-client.ts";

const MEDIA = "https://media.example/file";

interface Sent {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** @param redirects - Where each URL leads to. @returns What was requested, and the error if there was one. */
async function download(
  href: string,
  redirects: Readonly<Record<string, string>>,
  gitUrl = "https://git.example",
) {
  const sent: Sent[] = [];
  const answer: typeof fetch = async (input, init) => {
    const url = String(input);
    sent.push({ url, headers: { ...(init?.headers as Record<string, string>) } });
    expect(init?.redirect).toBe("manual");
    const location = redirects[url];
    if (location !== undefined) return new Response("moved", { status: 302, headers: { location } });
    return new Response("bytes", { status: 206, headers: { "content-range": "bytes 3-7/8" } });
  };
  const { open } = lfsClient({ fetch: answer, repositoryUrl: `${gitUrl}/acme/sample.git`, agent: "a/1" });
  const action = { href, header: { authorization: "Bearer secret" } };
  const error = await open(action, 3, new AbortController().signal).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { sent, error };
}

test("headers of the primary go to the host that it names, and to no other one, nor back", async () => {
  const { sent, error } = await download(MEDIA, {
    [MEDIA]: "/other",
    "https://media.example/other": "https://bucket.example/x?signature=1",
    "https://bucket.example/x?signature=1": "https://media.example/last",
  });
  expect(error).toBeUndefined();
  const own = { "accept-encoding": "identity", range: "bytes=3-" };
  const first = { authorization: "Bearer secret", ...own };
  expect(sent).toEqual([
    { url: MEDIA, headers: first },
    { url: "https://media.example/other", headers: first },
    { url: "https://bucket.example/x?signature=1", headers: own },
    { url: "https://media.example/last", headers: own },
  ]);
});

const FORBIDDEN = [
  "http://media.example/file",
  "ftp://media.example/file",
  "https://127.0.0.1/x",
  "https://localhost/x",
  "https://10.0.0.1/x",
  "https://[::1]/x",
  "https://[::ffff:10.0.0.1]/x",
  "https://169.254.169.254/latest/meta-data",
];

test.each(FORBIDDEN)("a redirect to %s is not followed", async (target) => {
  const { sent, error } = await download(MEDIA, { [MEDIA]: target });
  expect(error).toMatchObject({ code: "UPSTREAM", retryable: false });
  expect(sent.map(({ url }) => url)).toEqual([MEDIA]);
});

test.each(FORBIDDEN)("a link to %s is not, either", async (href) => {
  expect(await download(href, {})).toMatchObject({ sent: [], error: { code: "UPSTREAM" } });
});

test("a primary on this machine may use this machine's network, but no metadata service", async () => {
  const local = await download("http://127.0.0.1:2/x", {}, "http://127.0.0.1:1");
  expect(local).toMatchObject({ sent: [{ url: "http://127.0.0.1:2/x" }], error: undefined });
  expect((await download("http://169.254.169.254/x", {}, "http://127.0.0.1:1")).sent).toEqual([]);
});

test("redirects end", async () => {
  const { sent, error } = await download(MEDIA, { [MEDIA]: MEDIA });
  expect(error).toMatchObject({ message: "the storage of LFS files redirects too often" });
  expect(sent).toHaveLength(6);
});
