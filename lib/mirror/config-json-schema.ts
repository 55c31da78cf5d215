/** `config.json` as a JSON Schema, for editors and for checks before a file is copied to the store. */
import * as z from "zod";
import { CONFIG_FORM } from "./mirror-config.ts";

/** By field; the names are different from each other at all levels. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  $schema: "Where this schema is, for an editor. The mirror ignores it.",
  formatVersion: "1. A higher one says that a newer release wrote the file.",
  mustUnderstand: "What a release has to know to use the file. Written by newer releases.",
  workspaces: "The workspaces that are mirrored, each once.",
  workspace: "The workspace's id, as in Bitbucket's addresses.",
  credential:
    "Name of the account's secret, never the secret. Without it: public repositories only, no webhooks.",
  projects: 'Whose repositories are mirrored: "all", or a list of project keys.',
  include: "Patterns of repositories that are mirrored whatever their project: * and ?, or KEY/pattern.",
  exclude: "Patterns of repositories that are never mirrored: * and ?, or KEY/pattern.",
  publicRepositories: "false leaves out repositories that anyone may read at Bitbucket.",
  disabled: "true serves and synchronizes nothing, and keeps all data.",
  removedAt: "From then on nothing is served; data is deleted after retentionDays. Set by nearside remove.",
  retentionDays: "Days for which the data of a repository that is no longer mirrored is kept.",
  otherMirrors:
    "Addresses of further mirrors of the workspace, without a slash at the end: repositories' pages show them, nearest first.",
  relayWebhooks: "Receivers of each publish's event; nearside relay writes them. Each id once.",
  id: "The webhook's id, as nearside relay list shows it.",
  url: "https://, without a credential; http:// for a receiver on the machine of a local mirror.",
  secret: "Name of the signing secret, never the secret.",
  privateAddresses: "Whether the receiver may be in a private network.",
  fromOptions: "Set by a server that stores what its options select.",
};

/** As written by hand: what has a default may be left out. A field that this release does not know is an error, as for the mirror. */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(CONFIG_FORM.schema, {
    io: "input",
    override: ({ jsonSchema, path }) => {
      if (jsonSchema.type === "object") jsonSchema.additionalProperties = false;
      const [kind, name] = path.slice(-2);
      const description = kind === "properties" ? DESCRIPTIONS[String(name)] : undefined;
      if (description !== undefined) jsonSchema.description = description;
    },
  });
  return {
    ...schema,
    title: "config.json of Nearside: what is mirrored",
    properties: {
      $schema: { type: "string", description: DESCRIPTIONS["$schema"] },
      ...schema.properties,
      mustUnderstand: {
        type: "array",
        items: { type: "string" },
        description: DESCRIPTIONS["mustUnderstand"],
      },
    },
  };
}
