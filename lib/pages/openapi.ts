/** The OpenAPI document of `/-/api/v1`. */
import * as z from "zod/mini";
import { ENVELOPE_VERSION } from "../json-envelope.ts";
import { API_SCHEMAS, type ApiSchemaName } from "./api-schemas.ts";

export function openApiDocument(version: string): object {
  return {
    openapi: "3.1.0",
    info: {
      title: "Nearside",
      version,
      description:
        "What a mirror holds, for callers who may read it at Bitbucket. Send the credential that git uses, by Basic or Bearer.",
    },
    servers: [{ url: ".", description: "where this document is" }],
    security: [{}, { basic: [] }, { bearer: [] }],
    paths: {
      "/repositories": {
        get: {
          summary: "Repositories that the caller may read, by name",
          parameters: [
            { name: "search", in: "query", schema: { type: "string" }, description: "part of a name" },
            { name: "start", in: "query", schema: { type: "integer", minimum: 0 } },
          ],
          responses: { 200: answer("repository-list"), ...ERRORS },
        },
      },
      "/repositories/{workspace}/{slug}": {
        get: {
          summary: "One repository",
          parameters: ["workspace", "slug"].map((name) => ({
            ...{ name, in: "path", required: true, schema: { type: "string" } },
          })),
          responses: { 200: answer("repository"), ...ERRORS },
        },
      },
    },
    components: {
      securitySchemes: {
        basic: { type: "http", scheme: "basic" },
        bearer: { type: "http", scheme: "bearer" },
      },
      schemas: Object.fromEntries(
        (Object.keys(API_SCHEMAS) as ApiSchemaName[]).map((name) => [name, envelope(name)]),
      ),
    },
  };
}

const ERRORS = { 401: answer("error"), 404: answer("error"), 429: answer("error"), 503: answer("error") };

function answer(name: ApiSchemaName) {
  const schema = { $ref: `#/components/schemas/${name}` };
  return { description: name, content: { "application/json": { schema } } };
}

/** What surrounds the data of every answer. */
function envelope(name: ApiSchemaName) {
  const { $schema: _, ...data } = z.toJSONSchema(API_SCHEMAS[name]);
  return {
    type: "object",
    required: ["schema", "version", "timestamp", "data"],
    properties: {
      schema: { const: `nearside.${name}` },
      version: { const: ENVELOPE_VERSION },
      timestamp: { type: "string", format: "date-time" },
      data,
    },
  };
}
