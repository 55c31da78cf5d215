/**
 * Signed requests to AWS's services, for functions that often start cold: the SDK's clients for S3 and SSM take 0.2 s of CPU to load,
 * and these functions need few operations of them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AwsClient } from "aws4fetch";
import { ConfigError } from "../errors.ts";

/** @returns The parameter's text, decrypted; `undefined` if there is no such parameter, or nothing in it. */
export type ReadParameter = (name: string) => Promise<string | undefined>;

export interface AwsAccess {
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** In place of AWS's own addresses; without a slash at the end. S3's bucket then goes in the path. */
  readonly endpoints: {
    readonly s3?: string;
    readonly ssm?: string;
    readonly sqs?: string;
    readonly monitoring?: string;
    readonly lambda?: string;
  };
}

/** After a 5xx or 429, with growing pauses of up to 0.4 s. */
const MAX_REPEATS = 3;
const FIRST_PAUSE_MS = 100;
/** A whole request with its tries; documents are small. */
const TIMEOUT_MS = 20_000;

export class AwsRequests {
  readonly access: AwsAccess;
  readonly #client: AwsClient;
  readonly #onStoreRequest: ((kind: "read" | "write") => void) | undefined;

  /** @param onStoreRequest - Called for each request to S3. */
  constructor(access: AwsAccess, onStoreRequest?: (kind: "read" | "write") => void) {
    this.access = access;
    this.#onStoreRequest = onStoreRequest;
    this.#client = new AwsClient({ ...access.credentials, region: access.region });
  }

  /**
   * @param options - `isOnce`: what the request does must not be done twice, so it is repeated only after a 429.
   * @returns The response, whatever its status; a connection that breaks before it is made anew once.
   */
  async send(
    service: "s3" | "ssm" | "sqs" | "monitoring" | "lambda",
    url: string,
    { signal: given, ...init }: RequestInit,
    { isOnce = false }: { readonly isOnce?: boolean } = {},
  ): Promise<Response> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const signal = given ? AbortSignal.any([given, timeout]) : timeout;
    if (service === "s3") this.#onStoreRequest?.(init.method === "GET" ? "read" : "write");
    let isReconnected = isOnce;
    for (let repeats = 0; ; repeats++) {
      // The signal goes to `fetch`: that of a Request aborts nothing once the Request is garbage.
      const request = await this.#client.sign(url, { ...init, aws: { service } });
      const response = await fetch(request, { signal }).catch((error: unknown) => {
        if (signal.aborted || isReconnected) throw error;
        isReconnected = true;
      });
      if (response === undefined) continue;
      const isRefused = response.status === 429 || (response.status >= 500 && !isOnce);
      if (!isRefused || repeats >= MAX_REPEATS) return response;
      await response.body?.cancel();
      await sleep(Math.random() * FIRST_PAUSE_MS * 2 ** repeats, undefined, { signal });
    }
  }

  /** Of a service without buckets. */
  endpointOf(service: "ssm" | "monitoring" | "lambda"): string {
    const { endpoints, region } = this.access;
    return endpoints[service] ?? `https://${service}.${region}.${domainOf(region)}`;
  }
}

/** @returns Where AWS's services are. Source: docs.aws.amazon.com/general/latest/gr/rande.html. */
export function domainOf(region: string): string {
  return region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

/**
 * @param env - As Lambda sets it: a process's credentials do not change.
 * @throws {ConfigError} It is not a Lambda function's environment.
 */
export function lambdaAccess(env: Readonly<Record<string, string | undefined>>): AwsAccess {
  const named = (name: string) => {
    const value = env[name];
    if (value === undefined || value === "")
      throw new ConfigError(`environment: ${name} is not set, as it is in Lambda`);
    return value;
  };
  const sessionToken = env["AWS_SESSION_TOKEN"] || undefined;
  const s3 = env["AWS_ENDPOINT_URL_S3"] || undefined;
  const ssm = env["AWS_ENDPOINT_URL_SSM"] || undefined;
  const sqs = env["AWS_ENDPOINT_URL_SQS"] || undefined;
  const monitoring = env["AWS_ENDPOINT_URL_CLOUDWATCH"] || undefined;
  const lambda = env["AWS_ENDPOINT_URL_LAMBDA"] || undefined;
  return {
    region: named("AWS_REGION"),
    credentials: {
      accessKeyId: named("AWS_ACCESS_KEY_ID"),
      secretAccessKey: named("AWS_SECRET_ACCESS_KEY"),
      ...(sessionToken !== undefined && { sessionToken }),
    },
    endpoints: {
      ...(s3 !== undefined && { s3 }),
      ...(ssm !== undefined && { ssm }),
      ...(sqs !== undefined && { sqs }),
      ...(monitoring !== undefined && { monitoring }),
      ...(lambda !== undefined && { lambda }),
    },
  };
}

const MAX_PARAMETER_TRIES = 5;

/** Source: docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html. */
export function signedParameters(requests: AwsRequests): ReadParameter {
  return async (name) => {
    for (let tries = 1; ; tries++) {
      const response = await requests.send("ssm", `${requests.endpointOf("ssm")}/`, {
        method: "POST",
        headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": "AmazonSSM.GetParameter" },
        body: JSON.stringify({ Name: name, WithDecryption: true }),
      });
      const answer = (await response.json()) as {
        readonly Parameter?: { readonly Value?: string };
        readonly __type?: string;
        readonly message?: string;
      };
      if (response.ok) return answer.Parameter?.Value || undefined;
      // With or without the service's name before it.
      if (answer.__type?.endsWith("ParameterNotFound")) return undefined;
      // A status of 400, which aws4fetch does not repeat. Many processes that start at once read more than 40 a second.
      const isThrottled = answer.__type?.endsWith("ThrottlingException") === true;
      if (!isThrottled || tries === MAX_PARAMETER_TRIES)
        throw new Error(`SSM answers ${response.status} ${answer.__type}: ${answer.message}`);
      await sleep(Math.random() * FIRST_PAUSE_MS * 2 ** tries);
    }
  };
}
