/**
 * What is mirrored: `config.json` in the store. Changed while the mirror runs, by compare-and-swap; nothing is deployed anew.
 * It holds the names of secrets, never a secret.
 */
import * as z from "zod/mini";
import { ConfigError } from "../errors.ts";
import { CONFIG_KEY } from "../repo/layout.ts";
import { NAME_SEGMENT_PATTERN } from "../repo/names.ts";
import { type DocumentForm, decodeDocument } from "../repo/stored-document.ts";

export const CONFIG_LIMITS = {
  /** It is read before each request that is served. Ten thousand patterns fit. */
  maxBytes: 1024 * 1024,
  /** Each is listed by itself, several times an hour. */
  maxWorkspaces: 200,
  /** Each is held against each repository. */
  maxPatterns: 1_000,
  /** A page measures how far each is. */
  maxOtherMirrors: 10,
  /** Each gets each publish's event. */
  maxRelayWebhooks: 20,
} as const;

const FORMAT_VERSION = 1;

function text(form: RegExp, rule: string) {
  return z.string(rule).check(z.regex(form, rule));
}

const flag = z.boolean("must be true or false");

/** As Bitbucket has it: up to 128 characters; compared in upper case. */
const projectKey = text(/^[A-Za-z][A-Za-z0-9_]{0,127}$/, "must be a project's key");

/** `*` for any characters and `?` for one; `KEY/…` only within that project. */
const pattern = text(
  /^([A-Za-z][A-Za-z0-9_]{0,127}\/)?[A-Za-z0-9._*?-]{1,200}$/,
  "must be a pattern of repositories, such as web-* or KEY/*",
);
const maxPatterns = z.maxLength(
  CONFIG_LIMITS.maxPatterns,
  `has more than ${CONFIG_LIMITS.maxPatterns} entries`,
);
const patterns = z._default(z.array(pattern, "must be a list of patterns").check(maxPatterns), []);

/** Goes into a parameter's or a variable's name. */
const secretName = text(/^[A-Za-z0-9._/-]{1,200}$/, "must be a secret's name: letters, digits, and . _ / -");

const RETENTION_RULE = "must be a whole number of days, at most 3653";

/** Into a page's policy and lines of git: nothing but scheme, host and path. */
const mirrorUrl = text(
  /^https?:\/\/[A-Za-z0-9.-]{1,253}(:\d{1,5})?(\/[A-Za-z0-9._-]{1,100}){0,3}$/,
  "must be a mirror's address, such as https://mirror.example.com, without a slash at its end",
);

const workspaceSchema = z.object(
  {
    /** Its id, as in Bitbucket's addresses. */
    workspace: text(NAME_SEGMENT_PATTERN, "must be a workspace's id, as in Bitbucket's addresses"),
    /** Name of the secret with the account's credential. Absent: public repositories only. */
    credential: z.optional(secretName),
    /** Whose repositories are mirrored. */
    projects: z.union(
      [z.literal("all"), z.array(projectKey).check(maxPatterns)],
      'must be "all" or a list of project keys',
    ),
    /** Repositories that are mirrored as well, whatever their project. */
    include: patterns,
    /** Repositories that are not, whatever else is said. */
    exclude: patterns,
    /** Whether repositories that anyone may read are mirrored. */
    publicRepositories: z._default(flag, true),
    /** Keeps what is here, serves and synchronizes nothing. */
    disabled: z._default(flag, false),
    /** Since then nothing is served, and the data goes after the retention time. */
    removedAt: z.optional(z.iso.datetime()),
    /** How long the data of repositories that are no longer mirrored is kept; up to ten years. */
    retentionDays: z._default(
      z.int(RETENTION_RULE).check(z.minimum(0, RETENTION_RULE), z.maximum(3653, RETENTION_RULE)),
      30,
    ),
    /** Addresses of further mirrors of the workspace, which repositories' pages name. Written only where it is set: the release before knows it not. */
    otherMirrors: z.optional(
      z
        .array(mirrorUrl, "must be a list of addresses")
        .check(
          z.maxLength(
            CONFIG_LIMITS.maxOtherMirrors,
            `has more than ${CONFIG_LIMITS.maxOtherMirrors} entries`,
          ),
        ),
    ),
  },
  "must be an object",
);

const relayWebhookSchema = z.object({
  id: text(/^[a-z0-9-]{1,40}$/, "must be of small letters, digits and -"),
  url: z
    .string("must be an address")
    .check(
      z.maxLength(2_000, "is too long"),
      z.refine(isReceiverUrl, "must begin with https://, and carry no credential"),
    ),
  /** Name of the secret that it is signed with; below `relay/` among the mirror's secrets. */
  secret: text(/^[A-Za-z0-9._-]{1,100}$/, "must be a secret's name: letters, digits, and . _ -"),
  /** Whether its address may be one of a private network. */
  privateAddresses: z._default(flag, false),
});

const configSchema = z
  .object({
    /** Of the release that wrote it. */
    formatVersion: z.int("must be a whole number").check(z.positive("must be above 0")),
    workspaces: z.array(workspaceSchema, "must be a list").check(z.maxLength(CONFIG_LIMITS.maxWorkspaces)),
    /** Receivers of each publish's event. */
    relayWebhooks: z.optional(z.array(relayWebhookSchema).check(z.maxLength(CONFIG_LIMITS.maxRelayWebhooks))),
    /** Written by a server from its options, whose next options may replace it. Any other change takes the mark away. */
    fromOptions: z.optional(z.literal(true)),
  })
  .check(
    z.refine(({ relayWebhooks = [] }) => isUnique(relayWebhooks.map(({ id }) => id)), {
      message: "an id is given twice",
      path: ["relayWebhooks"],
    }),
    z.refine(({ workspaces }) => isUnique(workspaces.map(lowerName)), {
      message: "a workspace is named twice",
      path: ["workspaces"],
    }),
  );

export type MirrorConfig = z.infer<typeof configSchema>;
export type MirroredWorkspace = MirrorConfig["workspaces"][number];
export type RelayWebhook = z.infer<typeof relayWebhookSchema>;
/** As written by hand: what has a default may be left out. */
export type MirroredWorkspaceInput = z.input<typeof workspaceSchema>;

export const EMPTY_CONFIG: MirrorConfig = { formatVersion: FORMAT_VERSION, workspaces: [] };

/**
 * A field that this release does not know is a typing mistake, unless a newer release wrote the document: its `formatVersion` is
 * higher then, and its fields are kept. What must not be ignored is in `mustUnderstand`.
 */
export const CONFIG_FORM: DocumentForm<MirrorConfig> = {
  schema: configSchema,
  whenDamaged: "throw",
  identify: ({ id, workspace }) =>
    id ?? (typeof workspace === "string" ? workspace.toLowerCase() : undefined),
  indent: 2,
  maxBytes: CONFIG_LIMITS.maxBytes,
  invalid: (problem, { cause }) => new ConfigError(`config.json: ${problem.slice(0, 1_000)}`, { cause }),
  checkUnknownFields: ({ formatVersion }, fields) => {
    const unknown = fields.filter((field) => !["mustUnderstand", "$schema"].includes(field));
    if (formatVersion > FORMAT_VERSION || unknown.length === 0) return undefined;
    return `unknown field ${unknown.slice(0, 5).join(", ")}`;
  },
};

/** @throws {ConfigError} Not a configuration, or one that only a newer release understands. The message says what is wrong where. */
export function parseMirrorConfig(bytes: Uint8Array): MirrorConfig {
  const { value, damage } = decodeDocument(bytes, CONFIG_KEY, CONFIG_FORM);
  if (damage !== undefined) throw damage;
  return value ?? EMPTY_CONFIG;
}

/** @throws {ConfigError} A workspace is not as it has to be. */
export function mirrorConfigOf(workspaces: readonly MirroredWorkspaceInput[]): MirrorConfig {
  return checkMirrorConfig({ formatVersion: FORMAT_VERSION, workspaces });
}

export function findWorkspace(config: MirrorConfig, workspace: string): MirroredWorkspace | undefined {
  return config.workspaces.find((one) => lowerName(one) === workspace.toLowerCase());
}

/** @throws {ConfigError} It is not as it has to be. */
export function checkMirrorConfig(json: unknown): MirrorConfig {
  const result = configSchema.safeParse(json);
  if (result.success) return result.data;
  throw new ConfigError(`config.json: ${z.prettifyError(result.error).slice(0, 1_000)}`);
}

/** Plain HTTP is for a receiver on the machine of a local mirror. */
function isReceiverUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return false;
  const isHere = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && isHere);
}

function isUnique(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

function lowerName({ workspace }: { readonly workspace: string }): string {
  return workspace.toLowerCase();
}
