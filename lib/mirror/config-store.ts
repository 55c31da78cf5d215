/** Reads and changes the configuration in the store. */
import { ConfigError, NotFoundError } from "../errors.ts";
import { CONFIG_KEY } from "../repo/layout.ts";
import { StoredDocument } from "../repo/stored-document.ts";
import type { BlobVersion, WholeBlobs } from "../store/blob-store.ts";
import {
  CONFIG_FORM,
  EMPTY_CONFIG,
  findWorkspace,
  type MirrorConfig,
  parseMirrorConfig,
} from "./mirror-config.ts";

/**
 * @returns `undefined` if there is none: then nothing is mirrored.
 * @throws {ConfigError} It cannot be understood.
 */
export async function readMirrorConfig(store: WholeBlobs): Promise<MirrorConfig | undefined> {
  return (await configDocument(store).read()).value;
}

/**
 * Replaces the configuration by what `change` makes of it. `change` is called again when another writer was first.
 * @throws {ConfigError} The one that is there, or what `change` made of it, is not valid: nothing was written.
 */
export async function changeMirrorConfig(
  store: WholeBlobs,
  change: (config: MirrorConfig) => MirrorConfig,
): Promise<MirrorConfig> {
  const { value = EMPTY_CONFIG } = await configDocument(store).change((config = EMPTY_CONFIG, { damage }) => {
    if (damage !== undefined) throw damage;
    const { fromOptions: _, ...changed } = change(config);
    return changed;
  });
  return value;
}

/**
 * Stores what a server's options select, so that commands and later runs see it. What an operator has stored stays.
 * @returns Whether `config.json` selects otherwise than the options, and is used.
 * @throws {ConfigError} It does, and lacks a workspace that the options name; or it is not valid.
 */
export async function storeOptionSelection(
  store: WholeBlobs,
  { workspaces }: MirrorConfig,
): Promise<{ readonly isOverruled: boolean }> {
  let isOverruled = false;
  await configDocument(store).change((config, { damage }) => {
    if (damage !== undefined) throw damage;
    isOverruled = false;
    if (config !== undefined && !config.fromOptions) {
      if (JSON.stringify(config.workspaces) === JSON.stringify(workspaces)) return config;
      const missing = workspaces.find(({ workspace }) => findWorkspace(config, workspace) === undefined);
      if (missing !== undefined)
        throw new ConfigError(
          `config.json in the store selects what is mirrored, and not ${missing.workspace}: add it with nearside connect and select, and start without --workspace, --project and --repository`,
        );
      isOverruled = true;
      return config;
    }
    return { ...EMPTY_CONFIG, ...config, workspaces, fromOptions: true };
  });
  return { isOverruled };
}

function configDocument(store: WholeBlobs): StoredDocument<MirrorConfig> {
  return new StoredDocument(store, CONFIG_KEY, CONFIG_FORM);
}

/**
 * The configuration for a process that reads it for each request: one conditional read, parsed when it has changed. A change that is
 * not valid leaves the last valid configuration in use.
 */
export class CurrentConfig {
  readonly #store: WholeBlobs;
  readonly #onInvalid: (error: ConfigError) => void;
  /** The last valid configuration, and the version that was read last, valid or not. */
  #known: { readonly config: MirrorConfig; readonly version: BlobVersion } | undefined;

  /** @param onInvalid - Called once for each version that is not valid and not used. */
  constructor(store: WholeBlobs, onInvalid: (error: ConfigError) => void = () => undefined) {
    this.#store = store;
    this.#onInvalid = onInvalid;
  }

  /** @throws {ConfigError} It is not valid, and this process has read no valid one: nothing may be served then. */
  async read(): Promise<MirrorConfig> {
    const known = this.#known;
    try {
      const blob =
        known === undefined
          ? await this.#store.read(CONFIG_KEY)
          : await this.#store.readIfChanged(CONFIG_KEY, known.version);
      if (blob === "unchanged") return known?.config ?? EMPTY_CONFIG;
      const config = this.#parse(blob.bytes, known?.config);
      this.#known = { config, version: blob.version };
      return config;
    } catch (error) {
      if (error instanceof NotFoundError) return EMPTY_CONFIG;
      throw error;
    }
  }

  #parse(bytes: Uint8Array, lastValid: MirrorConfig | undefined): MirrorConfig {
    try {
      return parseMirrorConfig(bytes);
    } catch (error) {
      if (lastValid === undefined || !(error instanceof ConfigError)) throw error;
      this.#onInvalid(error);
      return lastValid;
    }
  }
}
