/** REST 2.0: the calls this project makes. */
import { type Caller, identify, includesRight, rightOf } from "./accounts.ts";
import {
  type CataloguedRepository,
  findRepository,
  isWorkspace,
  listRepositories,
  listWorkspaces,
} from "./catalogue.ts";
import {
  type Answer,
  answer,
  type Exchange,
  type Fake,
  jsonAnswer,
  NO_ACCESS_TEXT,
  readJson,
} from "./exchange.ts";
import { BadQueryError, pageOf, parseQuery, sorted } from "./query.ts";
import { repositoryAnswerOf, repositoryPageOf } from "./rest-faults.ts";
import { type Json, projectShape, repositoryShape, userShape, workspaceShape } from "./shapes.ts";
import { type WebhookSubject, webhookInputSchema, webhookShape } from "./webhooks.ts";

interface Call {
  readonly fake: Fake;
  readonly exchange: Exchange;
  readonly caller: Caller | undefined;
  readonly method: string;
}

/** @param data - More of it; the public document has no other property beside the message that clients may rely on. */
export function errorAnswer(status: number, message: string, data?: Record<string, Json>): Answer {
  return jsonAnswer(status, { type: "error", error: { message, ...(data === undefined ? {} : { data }) } });
}

export async function handleRest(fake: Fake, exchange: Exchange): Promise<void> {
  const { controls } = fake;
  const identity = identify(exchange.request.headers.authorization, "rest", controls.accounts);
  const caller = identity.kind === "known" ? identity.caller : undefined;
  if (caller !== undefined) exchange.record.caller = caller.name;
  const call = { fake, exchange, caller, method: exchange.request.method ?? "GET" };
  let result: Answer;
  if (identity.kind === "refused" || (caller && controls.refuseAlthoughAllowed(exchange.faults))) {
    result = errorAnswer(401, "Token is invalid, expired, or not supported for this endpoint.");
  } else {
    result = await route(call).catch((error: unknown) => {
      if (error instanceof BadQueryError) return errorAnswer(400, error.message);
      throw error;
    });
  }
  const rateLimit = {
    "X-RateLimit-Limit": "1000",
    "X-RateLimit-Resource": "api",
    "X-RateLimit-NearLimit": "false",
  };
  const { clockAheadSeconds } = exchange.faults;
  const headers = {
    ...rateLimit,
    ...(caller?.scopes && { "X-OAuth-Scopes": caller.scopes.join(", ") }),
    ...(clockAheadSeconds !== 0 && { Date: new Date(Date.now() + clockAheadSeconds * 1000).toUTCString() }),
  };
  return answer(exchange, { ...result, headers: { ...headers, ...result.headers } });
}

async function route(call: Call): Promise<Answer> {
  const [collection, workspace, third, fourth, fifth, ...more] = call.exchange.url.pathname
    .slice("/2.0/".length)
    .split("/")
    .map(decodeURIComponent);
  if (more.length > 0) return notFound();
  if (collection === "user" && workspace === undefined) return userAnswer(call);
  if (collection === "user" && workspace === "workspaces" && third === undefined)
    return userWorkspacesAnswer(call);
  if (workspace === undefined) return notFound();
  if (collection === "repositories") {
    if (third === undefined) return repositoriesAnswer(call, workspace);
    if (fourth === undefined) return repositoryAnswer(call, workspace, third);
    if (fourth === "hooks") return repositoryHooks(call, workspace, third, fifth);
  }
  if (collection === "workspaces" && third === "projects" && fourth === undefined) {
    return projectsAnswer(call, workspace);
  }
  if (collection === "workspaces" && third === "hooks") return workspaceHooks(call, workspace, fourth);
  return notFound();
}

function notFound(): Answer {
  return errorAnswer(404, "Resource not found");
}

function userAnswer({ caller }: Call): Answer {
  if (caller === undefined) return errorAnswer(401, "Authentication required");
  return jsonAnswer(200, userShape(caller.name));
}

/** Those in which the caller has a right on the workspace itself. Of an access token Bitbucket says nothing. */
async function userWorkspacesAnswer({ fake, exchange, caller }: Call): Promise<Answer> {
  if (caller === undefined) return errorAnswer(401, "Authentication required");
  if (caller.kind !== "user" || (caller.scopes && !caller.scopes.includes("read:workspace:bitbucket")))
    return errorAnswer(403, "Your credentials lack one or more required privilege scopes.");
  const onlyAdministered = exchange.url.searchParams.get("administrator") === "true";
  const values = (await listWorkspaces(fake.root)).flatMap((workspace) => {
    const right = rightOf(caller, { workspace });
    const administrator = right === "admin";
    if (right === "none" || (onlyAdministered && !administrator)) return [];
    return [
      { type: "workspace_access", administrator, workspace: workspaceShape(workspace, fake.addresses) },
    ];
  });
  return jsonAnswer(200, pageOf(values, exchange.url));
}

function mayRead(caller: Caller | undefined, repository: CataloguedRepository): boolean {
  return repository.isPublic || (caller !== undefined && includesRight(rightOf(caller, repository), "read"));
}

async function readableRepositories(
  { fake, caller }: Call,
  workspace: string,
): Promise<CataloguedRepository[]> {
  const repositories = await listRepositories(fake.root, workspace, fake.controls.accounts);
  return repositories.filter((repository) => mayRead(caller, repository));
}

async function repositoriesAnswer(call: Call, workspace: string): Promise<Answer> {
  const { fake, exchange, caller } = call;
  if ((await workspaceName(fake, workspace)) === undefined) return unknownWorkspace(workspace);
  const { searchParams } = exchange.url;
  const repositories = await readableRepositories(call, workspace);
  const shapes = await Promise.all(
    repositories.map((repository) => repositoryShape(repository, fake.addresses, caller)),
  );
  const query = searchParams.get("q");
  const matching = query === null ? shapes : shapes.filter(parseQuery(query));
  const inOrder = sorted(matching, searchParams.get("sort"));
  return jsonAnswer(200, repositoryPageOf(inOrder, exchange.url, exchange.faults));
}

async function repositoryAnswer(call: Call, workspace: string, slug: string): Promise<Answer> {
  const { fake, exchange, caller } = call;
  const { url, faults } = exchange;
  const repository = await findRepository(fake.root, workspace, slug, fake.controls.accounts);
  if (repository === undefined || !mayRead(caller, repository)) {
    const status = repository !== undefined && faults.forbidsVisibly ? 403 : 404;
    return errorAnswer(status, NO_ACCESS_TEXT);
  }
  const shape = await repositoryShape(repository, fake.addresses, caller);
  return jsonAnswer(200, repositoryAnswerOf(shape, url, faults));
}

async function projectsAnswer(call: Call, workspace: string): Promise<Answer> {
  const name = await workspaceName(call.fake, workspace);
  if (name === undefined) return unknownWorkspace(workspace);
  const repositories = await readableRepositories(call, name);
  const keys = [...new Set(repositories.map(({ projectKey }) => projectKey))].sort();
  const projects = keys.map((key) => projectShape(name, key, call.fake.addresses));
  return jsonAnswer(200, pageOf(projects, call.exchange.url));
}

async function workspaceName({ root }: Fake, asked: string): Promise<string | undefined> {
  return (await listWorkspaces(root)).find((name) => isWorkspace(asked, name));
}

function unknownWorkspace(workspace: string): Answer {
  return errorAnswer(404, `No workspace with identifier '${workspace}'.`);
}

async function workspaceHooks(call: Call, workspace: string, uid: string | undefined): Promise<Answer> {
  const name = await workspaceName(call.fake, workspace);
  if (name === undefined) return unknownWorkspace(workspace);
  return hooksAnswer(call, { workspace: name }, { kind: "workspace", workspace: name }, uid);
}

async function repositoryHooks(
  call: Call,
  workspace: string,
  slug: string,
  uid: string | undefined,
): Promise<Answer> {
  const repository = await findRepository(call.fake.root, workspace, slug, call.fake.controls.accounts);
  if (repository === undefined || !mayRead(call.caller, repository)) return errorAnswer(404, NO_ACCESS_TEXT);
  return hooksAnswer(call, repository, { kind: "repository", repositoryUuid: repository.uuid }, uid);
}

async function hooksAnswer(
  { fake: { webhooks }, exchange, caller, method }: Call,
  place: { readonly workspace: string; readonly slug?: string },
  subject: WebhookSubject,
  uid: string | undefined,
): Promise<Answer> {
  if (caller === undefined) return errorAnswer(401, "Authentication required");
  if (!includesRight(rightOf(caller, place), "admin")) {
    return errorAnswer(403, "Your credentials lack one or more required privilege scopes.");
  }
  const listed = webhooks.list(subject);
  if (uid === undefined && method === "GET") {
    return jsonAnswer(200, pageOf(listed.map(webhookShape), exchange.url));
  }
  const webhook = listed.find(({ uuid }) => uid === uuid || uid === `{${uuid}}`);
  if (uid !== undefined && webhook === undefined) return notFound();
  if (webhook !== undefined && method === "GET") return jsonAnswer(200, webhookShape(webhook));
  if (webhook !== undefined && method === "DELETE") {
    webhooks.replace(webhook, null);
    return { status: 204, body: "" };
  }
  if (method !== (webhook === undefined ? "POST" : "PUT")) return errorAnswer(405, "Method not allowed");
  const input = webhookInputSchema.safeParse(await readJson(exchange.request).catch(() => undefined));
  if (!input.success) {
    const fields = input.error.issues.map((issue) => [issue.path.join("."), [issue.message]]);
    return errorAnswer(400, "Bad request", Object.fromEntries(fields));
  }
  if (webhook === undefined) return jsonAnswer(201, webhookShape(webhooks.add(subject, input.data)));
  return jsonAnswer(200, webhookShape(webhooks.replace(webhook, input.data)));
}
