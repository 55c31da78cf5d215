/** Asks a process that was just started for a pack, and counts what it reads. */
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { chunksOf, collect } from "./byte-chunks.ts";
import { OPEN_ACCESS } from "./open-access.ts";
import { CountingBlobStore } from "./store/counting-blob-store.ts";

export class ColdFetches {
  readonly #counting: CountingBlobStore;
  readonly #store: BlobStore;
  readonly #wholeKeys: string[] = [];
  readonly #rangeKeys: string[] = [];
  readonly #onDamage: ((error: unknown, key: string) => void) | undefined;

  constructor(blobs: BlobStore, onDamage?: (error: unknown, key: string) => void) {
    this.#onDamage = onDamage;
    this.#counting = new CountingBlobStore(blobs);
    this.#store = new Proxy(this.#counting, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...args: readonly unknown[]) => {
          if (name === "read") this.#wholeKeys.push(String(args[0]));
          if (name === "readUpTo") this.#rangeKeys.push(String(args[0]));
          return value.apply(target, args);
        };
      },
    });
  }

  /** @param lines - Of a `fetch` by protocol 2, of `acme/sample`. */
  async ask(...lines: readonly string[]) {
    const onDamage = this.#onDamage;
    const storage = {
      store: this.#store,
      blocks: new BlockCache(this.#store),
      ...(onDamage && { onDamage }),
    };
    const catalog = new RepositoryCatalog(storage);
    const find = (...asked: Parameters<RepositoryCatalog["find"]>) => catalog.find(...asked);
    const handler = gitHttp({ ...OPEN_ACCESS, find, log: SILENT_LOGGER, agent: "nearside/1" });
    const words = ["thin-pack", "ofs-delta", "no-progress", ...lines].map((text) =>
      encodePktLine(`${text}\n`),
    );
    const body = Buffer.concat([encodePktLine("command=fetch\n"), DELIM_PKT, ...words, FLUSH_PKT]);
    this.#counting.reset();
    this.#wholeKeys.length = 0;
    this.#rangeKeys.length = 0;
    const response = await handler({
      method: "POST",
      path: "/acme/sample/git-upload-pack",
      query: new URLSearchParams(),
      headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
      body: chunksOf(body, []),
      signal: new AbortController().signal,
    });
    const bytes = await collect(response.body);
    const { rounds, requests, bytesRead } = this.#counting.counts();
    /** Indexes and sidecars that were read whole. */
    const indexCount = this.#wholeKeys.filter((key) => /\.(idx|history-\d+)$/.test(key)).length;
    const text = Buffer.from(bytes).toString("latin1");
    return { bytes, text, rounds, requests, bytesRead, indexCount, rangeKeys: [...this.#rangeKeys] };
  }
}
