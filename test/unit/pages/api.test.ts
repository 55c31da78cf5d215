/** The JSON API: its answers are as its OpenAPI document says. */
import { expect, test } from "vitest";
import * as z from "zod";
import { pageRig, type RigCaller } from "../../support/page-rig.ts";

const RITA: RigCaller = { user: "rita@example.com", token: "rita-page-token", reads: ["vault"] };
const REPOSITORIES = [
  { slug: "site", isPrivate: false },
  { slug: "vault", isPrivate: true },
];
const basic = (user: string, token: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${token}`).toString("base64")}`,
});

interface Document {
  readonly paths: Record<
    string,
    { get: { responses: Record<string, { content: Record<string, { schema: { $ref: string } }> }> } }
  >;
  readonly components: { readonly schemas: Record<string, object> };
}

test.each([
  ["/repositories", "/-/api/v1/repositories", {}, 200],
  ["/repositories", "/-/api/v1/repositories?search=v", basic(RITA.user, RITA.token), 200],
  ["/repositories", "/-/api/v1/repositories", { authorization: "Negotiate abc" }, 401],
  ["/repositories/{workspace}/{slug}", "/-/api/v1/repositories/acme/site", {}, 200],
  [
    "/repositories/{workspace}/{slug}",
    "/-/api/v1/repositories/acme/vault",
    basic(RITA.user, RITA.token),
    200,
  ],
  ["/repositories/{workspace}/{slug}", "/-/api/v1/repositories/acme/vault", {}, 404],
  ["/repositories/{workspace}/{slug}", "/-/api/v1/repositories/acme/vault", basic("rita", "wrong"), 401],
] as const)(
  "%s, asked as %s with %j, answers %i in the documented form",
  async (path, target, headers, status) => {
    const { send } = await pageRig({ repositories: REPOSITORIES, callers: [RITA] });
    const document = JSON.parse((await send("/-/api/v1/openapi.json")).text) as Document;
    const answer = await send(target, { headers });
    expect(answer.status).toBe(status);
    const { $ref = "" } =
      document.paths[path]?.get.responses[status]?.content["application/json"]?.schema ?? {};
    const schema = document.components.schemas[$ref.slice("#/components/schemas/".length)];
    const result = z
      .fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0])
      .safeParse(JSON.parse(answer.text));
    expect(result.error).toBeUndefined();
  },
);

test("the document's schemas refuse another form", async () => {
  const { send } = await pageRig({ repositories: REPOSITORIES });
  const { components } = JSON.parse((await send("/-/api/v1/openapi.json")).text) as Document;
  const schema = z.fromJSONSchema(
    components.schemas["repository-list"] as Parameters<typeof z.fromJSONSchema>[0],
  );
  const answer = JSON.parse((await send("/-/api/v1/repositories")).text);
  expect(schema.safeParse(answer).success).toBe(true);
  expect(schema.safeParse({ ...answer, data: { ...answer.data, repositories: [{ slug: 1 }] } }).success).toBe(
    false,
  );
  expect(schema.safeParse({ ...answer, data: { ...answer.data, surplus: 1 } }).success).toBe(false);
  expect(schema.safeParse({ ...answer, schema: "nearside.other" }).success).toBe(false);
});

test("an answer that has not changed is 304", async () => {
  const { send, clock } = await pageRig({ repositories: REPOSITORIES });
  const { headers } = await send("/-/api/v1/repositories");
  clock.nowMs += 10_000;
  const etag = headers["etag"] ?? "";
  expect(
    await send("/-/api/v1/repositories", { headers: { "if-none-match": `"x", ${etag}` } }),
  ).toMatchObject({
    status: 304,
    text: "",
  });
  expect(
    await send("/-/api/v1/repositories?search=none", { headers: { "if-none-match": etag } }),
  ).toMatchObject({
    status: 200,
  });
});
