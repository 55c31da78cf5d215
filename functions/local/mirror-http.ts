/** What the local mirror serves git through, and the packs that clients fetch by themselves. */
import { randomBytes } from "node:crypto";
import { measuredFetch } from "../../lib/bitbucket/measured-fetch.ts";
import { blobHttp } from "../../lib/blob-http/blob-http.ts";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../lib/blob-http/signed-blob-urls.ts";
import { AGENT } from "../../lib/config.ts";
import { accessOverStore } from "../../lib/git-http/access-over-store.ts";
import { answerClonePlan } from "../../lib/git-http/clone-plan.ts";
import type { DecideAccess } from "../../lib/git-http/decide-access.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { RequestLoad } from "../../lib/git-http/request-load.ts";
import type { SyncOnDemandOptions } from "../../lib/git-http/sync-on-demand.ts";
import { onlyFrom } from "../../lib/http/allowed-addresses.ts";
import type { HttpHandler } from "../../lib/http/message.ts";
import { CopyRequests, type QueueCopies } from "../../lib/lfs-http/copy-requests.ts";
import { KnownRights } from "../../lib/lfs-http/known-rights.ts";
import { lfsHttp } from "../../lib/lfs-http/lfs-http.ts";
import { withLfsErrors } from "../../lib/lfs-http/lfs-response.ts";
import type { Logger } from "../../lib/log.ts";
import { servesBy } from "../../lib/mirror/selection.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { retryBudget } from "../wiring/bitbucket-access.ts";
import { loadLimits, MEMORY } from "../wiring/memory.ts";
import { mirrorPages } from "../wiring/mirror-pages.ts";
import { type ProbeQuestionsOptions, probeQuestions } from "../wiring/probe-questions.ts";
import { servedRepositories } from "../wiring/served-repositories.ts";
import { type AdministrationOptions, localAdministration } from "./administration.ts";
import type { Arguments } from "./arguments.ts";
import { openBlobUrls } from "./open-store.ts";
import { readAuthSecret } from "./secrets.ts";
import { sweepVerdicts } from "./sweep-verdicts.ts";

interface ServedMirror {
  readonly handler: HttpHandler;
  readonly catalog: RepositoryCatalog;
}

interface MirrorHttpOptions
  extends Pick<SyncOnDemandOptions, "requests" | "pushedAtMs">,
    Pick<ProbeQuestionsOptions, "readConfig" | "accountOf">,
    Pick<AdministrationOptions, "apiOf" | "history" | "takeKept"> {
  readonly settings: Arguments;
  /** Has LFS files copied that callers asked for. */
  readonly queueCopies: QueueCopies;
  /** Of this server, once it listens. */
  readonly serverUrl: () => string;
  readonly log: Logger;
  readonly stop: AbortSignal;
}

/** Where the store is a folder, this server hands out its files. Errors as of `readAuthSecret`. */
export async function mirrorHttp(
  storage: RepositoryStorage,
  options: MirrorHttpOptions,
): Promise<ServedMirror> {
  const { settings, readConfig, serverUrl, log, requests, pushedAtMs, stop } = options;
  const signed = new SignedBlobUrls({ serverUrl });
  const urls = openBlobUrls(settings) ?? signed;
  const catalog = new RepositoryCatalog(
    { ...storage, urls },
    { serves: servesBy(readConfig), maxOpenBytes: MEMORY.openRepositories },
  );
  const { store } = storage;
  const ask = measuredFetch(fetch, log);
  const push = { kind: settings.push, gitUrl: settings.gitUrl, fetch: ask, readConfig, retryBudget };
  const access = await accessOf(store, options);
  const lfs = lfsHttp({
    rights: new KnownRights(storage, log, MEMORY.lfsRights),
    urls,
    ...(settings.lfs !== "none" && { copies: new CopyRequests(options.queueCopies) }),
    ...{ fetch: ask, push, log, agent: AGENT },
  });
  const served = servedRepositories({
    ...{ catalog, store, readConfig, log, settings, requests, lfs },
    ...(pushedAtMs && { pushedAtMs }),
  });
  const git = gitHttp({
    access,
    ...served,
    clonePlan: answerClonePlan({ urls, gitUrl: settings.gitUrl }),
    lfs,
    push,
    onPushed: (asked) => void served.onDemand.pushed(asked),
    log,
    agent: AGENT,
    load: new RequestLoad(loadLimits(settings)),
  });
  const blobs = blobHttp({ store, urls: signed });
  const { gitUrl, apiUrl, anonymous } = settings;
  const pages = mirrorPages({
    ...{ store, readConfig, access, gitUrl, apiUrl, serverUrl },
    ...(settings.administration !== "off" && {
      administration: localAdministration({
        ...{ ...options, store },
        canConnect: settings.administration === "pages",
      }),
    }),
    allowsAnonymous: anonymous === "allow",
    // Of this process alone: a session ends with it.
    sessionSecret: randomBytes(32).toString("hex"),
  });
  void sweepVerdicts(store, { staleMinutes: settings.staleMinutes, log, stop });
  const handler = onlyFrom(settings.allowedAddresses, async (request) =>
    request.path.startsWith(BLOB_PATH_PREFIX) ? blobs(request) : ((await pages(request)) ?? git(request)),
  );
  return { handler: withLfsErrors(handler, { log }), catalog };
}

async function accessOf(store: BlobStore, options: MirrorHttpOptions): Promise<DecideAccess> {
  const { store: location, anonymous, ...settings } = options.settings;
  return accessOverStore({
    store,
    probeQuestions: probeQuestions({ ...options, store }),
    secret: await readAuthSecret(process.env, location),
    fetch: measuredFetch(fetch, options.log),
    gitUrl: settings.gitUrl,
    agent: AGENT,
    settings: {
      ...settings,
      allowsAnonymous: anonymous === "allow",
      relaysPushes: settings.push === "relay",
    },
    log: options.log,
  });
}
