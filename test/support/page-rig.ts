/** The pages over an index in memory, where a test says what Bitbucket answers to whom. */
import { NotFoundError, UpstreamError } from "../../lib/errors.ts";
import type { HttpResponse } from "../../lib/http/message.ts";
import { changeMirrorConfig, configReader } from "../../lib/mirror/config-store.ts";
import { type MirroredWorkspaceInput, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { workspaceIndex } from "../../lib/mirror/workspace-index.ts";
import { pagesHttp } from "../../lib/pages/pages-http.ts";
import type { Administration, ReadDecision } from "../../lib/pages/ports.ts";
import { NO_DOCUMENT } from "../../lib/repo/stored-document.ts";
import { stableUuid } from "./fake-bitbucket/catalogue.ts";
import { readResponse, requestFor } from "./http-request.ts";
import { CountingBlobStore } from "./store/counting-blob-store.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

export interface RigCaller {
  /** As typed on the page. */
  readonly user: string;
  readonly token: string;
  /** Slugs of private repositories. */
  readonly reads: readonly string[];
  /** What REST answers in place of a list. */
  readonly listStatus?: number;
  /** Workspaces. */
  readonly administers?: readonly string[];
  /** Of the workspaces; by default the fake Bitbucket's. */
  readonly workspaceUuid?: string | undefined;
}

interface RigRepository {
  readonly slug: string;
  readonly isPrivate: boolean;
}

const AT = "2026-11-25T11:59:48.000Z";

export interface PageRigOptions {
  readonly repositories: readonly RigRepository[];
  readonly callers?: readonly RigCaller[];
  readonly allowsAnonymous?: boolean;
  readonly sessionSecret?: string;
  /** What administrators may do; by default nothing. */
  readonly administration?: (configStore: MemoryBlobStore) => Omit<Administration, "administered">;
  readonly workspaces?: readonly MirroredWorkspaceInput[];
  /** Bitbucket does not answer questions about this one, whoever asks. */
  readonly hangingSlug?: string;
}

export type PageAnswer = HttpResponse & { readonly text: string };

export async function pageRig(options: PageRigOptions) {
  const { repositories, callers = [], allowsAnonymous = true } = options;
  const store = new CountingBlobStore(new MemoryBlobStore());
  const uuidOf = (slug: string) => stableUuid("repository", `acme/${slug}`);
  const entries = repositories.map(({ slug, isPrivate }) => [
    uuidOf(slug),
    { slug, isPrivate, updatedOn: AT, seenAt: AT, held: "mirrored" as const },
  ]);
  const workspaceUuid = stableUuid("workspace", "acme");
  const index = { repositories: Object.fromEntries(entries), workspaceUuid };
  await workspaceIndex(store, "acme").write(index, NO_DOCUMENT);
  const { workspaces = [{ workspace: "acme", credential: "bot", projects: "all" }] } = options;
  // One of its own: its reads are not counted.
  const configStore = new MemoryBlobStore();
  await changeMirrorConfig(configStore, () => mirrorConfigOf(workspaces));
  store.reset();
  const clock = { nowMs: Date.parse("2026-11-25T12:00:00Z") };
  /** What Bitbucket was asked. */
  const lists: string[] = [];
  const questions: string[] = [];
  const roles: string[] = [];
  const answer = pagesHttp({
    store,
    readConfig: configReader(configStore),
    allowsAnonymous,
    gitUrl: "https://bitbucket.example",
    serverUrl: () => "http://mirror.example",
    version: "1.2.3",
    sessionSecret: options.sessionSecret ?? "secret of the sessions",
    now: () => clock.nowMs,
    eventIntervalMs: 10,
    async mayRead(_request, authorization, { slug }): Promise<ReadDecision> {
      questions.push(slug);
      if (slug === options.hangingSlug) return new Promise(() => undefined);
      const one = repositories.find((repository) => repository.slug === slug);
      const caller = callers.find(({ token }) => credentialsOf(authorization).endsWith(`:${token}`));
      if (authorization !== undefined && caller === undefined)
        return { kind: "unauthorized", text: "Bitbucket rejects this credential" };
      const mayRead = one !== undefined && (!one.isPrivate || caller?.reads.includes(slug));
      if (mayRead) return { kind: "allowed", uuid: uuidOf(slug) };
      return { kind: authorization === undefined ? "unauthorized" : "not-found", text: "" };
    },
    async *listReadable(authorization, workspace) {
      const token = credentialsOf(authorization).split(":")[1] ?? authorization.slice("Bearer ".length);
      lists.push(workspace);
      const caller = callers.find((one) => one.token === token);
      const status = caller === undefined ? 401 : caller.listStatus;
      if (status === 404) throw new NotFoundError("no workspace");
      if (status !== undefined) throw new UpstreamError("refused", { retryable: status >= 500, status });
      for (const slug of caller?.reads ?? [])
        yield { uuid: uuidOf(slug), slug, projectKey: "CORE", isPrivate: true };
    },
    ...(options.administration && {
      administration: {
        ...options.administration(configStore),
        async administered(authorization: string) {
          roles.push(credentialsOf(authorization));
          const caller = callers.find(({ token }) => credentialsOf(authorization).endsWith(`:${token}`));
          if (caller === undefined) throw new UpstreamError("refused", { retryable: false, status: 401 });
          const uuidOfWorkspace = (slug: string) =>
            "workspaceUuid" in caller ? caller.workspaceUuid : stableUuid("workspace", slug);
          return (caller.administers ?? []).map((slug) => ({ slug, uuid: uuidOfWorkspace(slug) }));
        },
      },
    }),
  });
  const send = async (target: string, parts: Parameters<typeof requestFor>[1] = {}): Promise<PageAnswer> => {
    const request = requestFor(target, { ...parts, headers: { host: "mirror.example", ...parts.headers } });
    const response = await answer({ ...request, remoteAddress: "192.0.2.7" });
    if (response === undefined) throw new Error(`no page answers ${target}`);
    return readResponse(response);
  };
  const signIn = (user: string, token: string, headers: Record<string, string> = {}) =>
    send("/-/sign-in", {
      method: "POST",
      headers: { "sec-fetch-site": "same-origin", ...headers },
      body: Buffer.from(new URLSearchParams({ user, token }).toString()),
    });
  return {
    ...{ store, configStore, clock, lists, questions, roles, answer, send, signIn, uuidOf },
    /** @returns Headers of requests in a session. */
    async sessionOf({ user, token }: RigCaller): Promise<{ cookie: string }> {
      return { cookie: cookieOf(await signIn(user, token)) };
    },
  };
}

export function cookieOf({ headers }: PageAnswer): string {
  return (headers["set-cookie"] ?? "").split(";")[0] ?? "";
}

function credentialsOf(authorization = ""): string {
  return Buffer.from(authorization.split(" ")[1] ?? "", "base64").toString();
}
