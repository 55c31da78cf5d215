/**
 * What receivers get: the payload of Bitbucket Data Center's `mirror:repo_synchronized`, with what Bitbucket Cloud has of it.
 * Source: "Event payload" in Bitbucket Data Center's documentation, "Mirror synchronized".
 */
import type { RelayEvent } from "./relay-message.ts";

export const EVENT_KEY = "mirror:repo_synchronized";

export interface MirrorIdentity {
  readonly name: string;
  /** Where clients reach it, without a slash at its end. */
  readonly url: string;
  /** Where the primary serves git, the same way. */
  readonly gitUrl: string;
}

const NO_OBJECT_ID = "0".repeat(40);

export function synchronizedPayload(event: RelayEvent, { name, url, gitUrl }: MirrorIdentity) {
  const fullName = `${event.workspace}/${event.slug}`;
  return {
    eventKey: EVENT_KEY,
    date: event.at.replace(/\.\d+Z$/, "+0000"),
    mirrorServer: { id: name, name, baseUrl: url },
    syncType: event.syncType,
    refLimitExceeded: event.refLimitExceeded,
    repository: {
      uuid: `{${event.uuid}}`,
      slug: event.slug,
      name: event.slug,
      fullName,
      scmId: "git",
      state: "AVAILABLE",
      statusMessage: "Available",
      public: !event.isPrivate,
      ...(event.projectKey !== undefined && {
        project: { key: event.projectKey, name: event.projectKey, type: "NORMAL" },
      }),
      workspace: { slug: event.workspace },
      links: {
        clone: [
          { name: "http", href: `${gitUrl}/${fullName}.git` },
          { name: "mirror", href: `${url}/${fullName}.git` },
        ],
        self: [{ href: `${gitUrl}/${fullName}` }],
      },
    },
    generation: event.generation,
    changes: event.changes.map(changeOf),
  };
}

function changeOf({ name, oldId, newId }: RelayEvent["changes"][number]) {
  const [, kind, displayId = name] = /^refs\/(heads|tags)\/(.+)$/s.exec(name) ?? [];
  const type = kind === "heads" ? "BRANCH" : kind === "tags" ? "TAG" : undefined;
  return {
    ref: { id: name, displayId, ...(type !== undefined && { type }) },
    refId: name,
    fromHash: oldId ?? NO_OBJECT_ID,
    toHash: newId ?? NO_OBJECT_ID,
    type: oldId === undefined ? "ADD" : newId === undefined ? "DELETE" : "UPDATE",
  };
}
