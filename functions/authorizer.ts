/** API Gateway's authorizer: decides who may read before a request reaches the git function. */
import { CallerKeys } from "../lib/auth/caller-keys.ts";
import { AwsRequests, lambdaAccess, signedParameters } from "../lib/aws/aws-requests.ts";
import { measuredFetch } from "../lib/bitbucket/measured-fetch.ts";
import { parameterAccounts } from "../lib/bitbucket/parameter-account.ts";
import { AGENT, readAuthorizerConfig } from "../lib/config.ts";
import { formatDecision } from "../lib/git-http/access-decision.ts";
import { accessOverStore } from "../lib/git-http/access-over-store.ts";
import { routeOf } from "../lib/git-http/route.ts";
import { addressBlock } from "../lib/http/address-block.ts";
import { type AuthorizeRequest, lambdaAuthorizer } from "../lib/http/lambda-authorizer.ts";
import { configReader } from "../lib/mirror/config-store.ts";
import { S3WholeBlobs } from "../lib/store/s3-whole-blobs.ts";
import { functionLog } from "./wiring/function-log.ts";
import { probeQuestions } from "./wiring/probe-questions.ts";

const settings = readAuthorizerConfig(process.env);
const { bucket, gitUrl, authSecret, secretPath, anonymous, ...limits } = settings;
const { log, onStoreRequest } = functionLog(settings);
const requests = new AwsRequests(lambdaAccess(process.env), onStoreRequest);
const store = new S3WholeBlobs({ requests, bucket });
const callerKeys = new CallerKeys(authSecret);
const decide = accessOverStore({
  store,
  probeQuestions: probeQuestions({
    store,
    readConfig: configReader(store),
    accountOf: parameterAccounts(signedParameters(requests), secretPath),
  }),
  secret: authSecret,
  fetch: measuredFetch(fetch, log),
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
    : {
        context: {
          access: formatDecision(decision, { service, repository }),
          // Apart from the decision: two releases run at once during a deploy, and the older one refuses a decision that it does not know.
          caller: callerKeys.placeKey(request.headers["authorization"], addressBlock(request.remoteAddress)),
        },
      };
};

export const handler = lambdaAuthorizer(authorize, { log });
