/** Answers of Bitbucket's REST API. */

export function repositoryJson(changes: Readonly<Record<string, unknown>> = {}) {
  return {
    uuid: "{3DEB8C29-778a-450c-8f69-3e50a18079df}",
    slug: "tools",
    full_name: "acme/tools",
    is_private: true,
    project: { key: "OPS", name: "Operations" },
    updated_on: "2026-01-27T14:15:58.600540+00:00",
    size: 284_698,
    ...changes,
  };
}

interface SeenRequest {
  readonly url: URL;
  readonly headers: Headers;
}

/** Answers one request after the other. */
export function fetchGiving(...responses: readonly (Response | Error)[]) {
  const seen: SeenRequest[] = [];
  const fakeFetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = responses[seen.length];
    seen.push({ url: new URL(String(url)), headers: new Headers(init?.headers) });
    if (response === undefined) throw new Error("one request too many");
    if (response instanceof Error) throw response;
    return response;
  };
  return { fetch: fakeFetch as typeof fetch, seen };
}

export function brokenAfter(text: string): Response {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
    },
    pull(controller) {
      controller.error(new TypeError("terminated"));
    },
  });
  return new Response(body);
}

export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}
