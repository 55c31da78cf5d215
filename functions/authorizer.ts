/** API Gateway's authorizer: decides who may read before a request reaches the git function. */
import { SSMClient } from "@aws-sdk/client-ssm";
import { readSsmSecret } from "../lib/auth/ssm-secret.ts";
import { readSsmAccount } from "../lib/bitbucket/ssm-account.ts";
import { AGENT, readAuthorizerConfig } from "../lib/config.ts";
import { formatDecision } from "../lib/git-http/access-decision.ts";
import { accessOverStore } from "../lib/git-http/access-over-store.ts";
import { routeOf } from "../lib/git-http/route.ts";
import { type AuthorizeRequest, lambdaAuthorizer } from "../lib/http/lambda-authorizer.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { CurrentConfig } from "../lib/mirror/config-store.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { probeQuestions } from "./wiring/probe-questions.ts";

const { bucket, gitUrl, authSecret, secretPath, logLevel, anonymous, ...limits } = readAuthorizerConfig(
  process.env,
);
const log = pinoLogger(logLevel);
const store = new S3BlobStore({ client: createS3Client(), bucket });
const ssm = new SSMClient();
const config = new CurrentConfig(store);
const decide = accessOverStore({
  store,
  probeQuestions: probeQuestions({
    store,
    readConfig: () => config.read(),
    accountOf: ({ credential }) => readSsmAccount(ssm, secretPath, credential),
  }),
  secret: await readSsmSecret(ssm, authSecret),
  fetch,
  gitUrl,
  agent: AGENT,
  settings: { ...limits, allowsAnonymous: anonymous === "allow", relaysPushes: false },
  log,
});

const authorize: AuthorizeRequest = async (request) => {
  const route = routeOf(request);
  // The git function refuses it without a decision.
  if (route.kind === "refused") return { context: {} };
  const { kind: service, repository } = route;
  const decision = await decide({ request, service, repository });
  // After a credential the git function answers, with the primary's reason; git needs the header only on its first request.
  const isFirstAsk =
    decision.kind === "refused" && decision.status === 401 && request.headers["authorization"] === undefined;
  return isFirstAsk
    ? "challenge"
    : { context: { access: formatDecision(decision, { service, repository }) } };
};

export const handler = lambdaAuthorizer(authorize, { log });
