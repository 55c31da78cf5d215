/** git over HTTPS: who may, then git-http-backend, then the webhooks of a push; git-lfs beside it. */
import type { Caller } from "./accounts.ts";
import { type CataloguedRepository, findRenamed, findRepository } from "./catalogue.ts";
import type { GitService } from "./controls.ts";
import { type Answer, answer, type Exchange, type Fake, NO_ACCESS_TEXT, textAnswer } from "./exchange.ts";
import { admit } from "./git-access.ts";
import { serveByGit } from "./git-backend.ts";
import { LfsRoutes } from "./lfs-routes.ts";
import { describeChanges, readRefSnapshot } from "./push-changes.ts";
import { type Json, repositoryShape, userShape } from "./shapes.ts";

const GIT_PATH = /^\/([^/]+)\/([^/]+?)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/;

interface GitRequest {
  readonly workspace: string;
  readonly slug: string;
  readonly endpoint: string;
  readonly service: GitService;
}

function parseGitRequest(url: URL): GitRequest | undefined {
  const [, workspace, slug, endpoint] = GIT_PATH.exec(url.pathname) ?? [];
  if (workspace === undefined || slug === undefined || endpoint === undefined) return undefined;
  const service = endpoint === "info/refs" ? url.searchParams.get("service") : endpoint;
  if (service !== "git-upload-pack" && service !== "git-receive-pack") return undefined;
  return { workspace: decodeURIComponent(workspace), slug: decodeURIComponent(slug), endpoint, service };
}

export class GitRoutes {
  readonly #fake: Fake;
  readonly #lfs: LfsRoutes;
  /** The last push to each repository folder; the next waits for it, so that each sees its own changes only. */
  readonly #pushes = new Map<string, Promise<void>>();

  constructor(fake: Fake) {
    this.#fake = fake;
    this.#lfs = new LfsRoutes(fake);
  }

  async handle(exchange: Exchange): Promise<void> {
    if (await this.#lfs.handle(exchange)) return;
    const request = parseGitRequest(exchange.url);
    if (request === undefined) return answer(exchange, textAnswer(404, NO_ACCESS_TEXT));
    exchange.record.service = request.service;
    const moved = await this.#redirected(request, exchange.url);
    if (moved !== undefined) return answer(exchange, moved);
    const access = await admit(this.#fake, exchange, request);
    if ("refusal" in access) return answer(exchange, access.refusal);
    const { repository, caller } = access;
    const serve = () =>
      serveByGit(exchange.request, exchange.response, {
        repositoryFolder: repository.folder,
        endpoint: request.endpoint,
        query: exchange.url.search.slice(1),
        gitProtocol: exchange.faults.forceProtocolV0 ? undefined : exchange.record.gitProtocol,
        callerName: caller?.name,
        cutAfterBytes: exchange.faults.cutAfterBytes,
        onSent: (bytes) => {
          exchange.record.sentBytes = (exchange.record.sentBytes ?? 0) + bytes;
        },
      });
    return request.endpoint === "git-receive-pack" ? this.#push(repository, caller, serve) : serve();
  }

  async #redirected({ workspace, slug, endpoint }: GitRequest, { search }: URL): Promise<Answer | undefined> {
    const { addresses, controls, root } = this.#fake;
    if (endpoint !== "info/refs") return undefined;
    if ((await findRepository(root, workspace, slug, controls.accounts)) !== undefined) return undefined;
    const renamed = await findRenamed(root, workspace, slug, controls.accounts);
    if (renamed === undefined) return undefined;
    const location = `${addresses.gitUrl}/${renamed.workspace}/${renamed.slug}.git/info/refs${search}`;
    return { status: 301, headers: { Location: location }, body: "" };
  }

  /** The push may have landed even when the answer did not: its changes are announced either way. */
  #push(
    repository: CataloguedRepository,
    caller: Caller | undefined,
    serve: () => Promise<void>,
  ): Promise<void> {
    const { addresses, controls } = this.#fake;
    const { folder, workspace, slug } = repository;
    const previous = this.#pushes.get(folder) ?? Promise.resolve();
    const pushed = previous.then(async () => {
      const refsBefore = await readRefSnapshot(folder);
      const [served] = await Promise.allSettled([serve()]);
      const refsAfter = await readRefSnapshot(folder);
      const apiUrl = `${addresses.apiUrl}/repositories/${workspace}/${slug}`;
      return { served, changes: await describeChanges(folder, refsBefore, refsAfter, apiUrl) };
    });
    this.#pushes.set(
      folder,
      pushed.then(
        () => {},
        () => {},
      ),
    );
    const announced = pushed.then(async ({ served, changes }) => {
      if (changes.length > 0) await this.#announce(repository, caller, changes);
      if (served.status === "rejected") throw served.reason;
    });
    return controls.track(announced);
  }

  async #announce(
    repository: CataloguedRepository,
    caller: Caller | undefined,
    changes: readonly Json[],
  ): Promise<void> {
    const shape = await repositoryShape(repository, this.#fake.addresses, undefined);
    const actor = userShape(caller?.name ?? "anonymous");
    const payload = { actor, repository: shape, push: { changes } };
    await this.#fake.webhooks.send("repo:push", repository, payload);
  }
}
