/** Reads and changes the configuration in the store. */
import { ConfigError, insteadOf, NewerReleaseError, NotFoundError, VersionConflictError } from "../errors.ts";
import { CONFIG_KEY, LAST_VALID_CONFIG_KEY } from "../repo/layout.ts";
import { StoredDocument, UNCHANGED } from "../repo/stored-document.ts";
import type { Blob, BlobVersion, WholeBlobs } from "../store/blob-store.ts";
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

/** Whether there is a configuration, valid or not. */
export async function hasMirrorConfig(store: WholeBlobs): Promise<boolean> {
  return (await store.read(CONFIG_KEY).catch(insteadOf(NotFoundError, undefined))) !== undefined;
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
 * Stores what a server's options select, so that commands and later runs see it. What an operator has stored stays, also where it
 * is not valid.
 * @returns Whether `config.json` selects otherwise than the options, and is used.
 * @throws {ConfigError} It does, and lacks a workspace that the options name.
 */
export async function storeOptionSelection(
  store: WholeBlobs,
  { workspaces }: MirrorConfig,
): Promise<{ readonly isOverruled: boolean }> {
  let isOverruled = false;
  await configDocument(store).change((config, { damage }) => {
    isOverruled = damage !== undefined;
    if (isOverruled) return UNCHANGED;
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

/** Few processes copy it. */
const MAX_COPY_TRIES = 4;

interface ConfigReaderOptions {
  /** Called once for each version that is not valid and not used. */
  readonly onInvalid?: (error: ConfigError) => void;
  /** For a process that may write the configuration: it copies each valid version, for processes that start with an invalid one. */
  readonly copy?: { readonly onFailed: (error: unknown) => void };
}

/**
 * For a process that reads the configuration for each request: one conditional read, parsed when it has changed. A change that is not
 * valid leaves the last valid configuration in use; a process that has read none reads the copy of it.
 *
 * @returns Throws a ConfigError if it is not valid, and neither this process nor the store knows a valid one: nothing may be served then.
 */
export function configReader(
  store: WholeBlobs,
  options: ConfigReaderOptions = {},
): () => Promise<MirrorConfig> {
  /** The last valid configuration, and the version that was read last, valid or not. */
  let known: { readonly config: MirrorConfig; readonly version: BlobVersion } | undefined;
  return async () => {
    const last = known;
    const reading =
      last === undefined ? store.read(CONFIG_KEY) : store.readIfChanged(CONFIG_KEY, last.version);
    const blob = await reading.catch(insteadOf(NotFoundError, undefined));
    if (blob === undefined) return EMPTY_CONFIG;
    if (blob === "unchanged") return last?.config ?? EMPTY_CONFIG;
    const config = await validConfig(store, blob, last?.config, options);
    known = { config, version: blob.version };
    return config;
  };
}

async function validConfig(
  store: WholeBlobs,
  blob: Blob,
  lastValid: MirrorConfig | undefined,
  { onInvalid, copy }: ConfigReaderOptions,
): Promise<MirrorConfig> {
  let config: MirrorConfig;
  try {
    config = parseMirrorConfig(blob.bytes);
  } catch (error) {
    // A configuration of a newer release is in force: an older one must not come back with a new process.
    const isInForce = error instanceof NewerReleaseError && lastValid === undefined;
    if (!(error instanceof ConfigError) || isInForce) throw error;
    const inUse = lastValid ?? (await readCopy(store, error));
    onInvalid?.(error);
    return inUse;
  }
  if (copy !== undefined) await keepCopy(store, blob).catch(copy.onFailed);
  return config;
}

/** @throws {ConfigError} `invalid`, where there is no copy that can be used. */
async function readCopy(store: WholeBlobs, invalid: ConfigError): Promise<MirrorConfig> {
  try {
    return parseMirrorConfig((await store.read(LAST_VALID_CONFIG_KEY)).bytes);
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof ConfigError) throw invalid;
    throw error;
  }
}

/** One read, if the copy has these bytes. Else what is written is not older than the copy, whichever other processes write it. */
async function keepCopy(store: WholeBlobs, known: Blob): Promise<void> {
  for (let tries = 1; ; tries++) {
    const copy = await store.read(LAST_VALID_CONFIG_KEY).catch(insteadOf(NotFoundError, undefined));
    if (copy !== undefined && Buffer.compare(copy.bytes, known.bytes) === 0) return;
    // The copy may be of a newer file than what this process has read.
    const file = await store.readIfChanged(CONFIG_KEY, known.version);
    // Read and copied with the next read.
    if (file !== "unchanged") return;
    try {
      await store.write(LAST_VALID_CONFIG_KEY, known.bytes, { ifVersion: copy?.version ?? "absent" });
      return;
    } catch (error) {
      if (!(error instanceof VersionConflictError) || tries === MAX_COPY_TRIES) throw error;
    }
  }
}
