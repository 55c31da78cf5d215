/** One function behind an API of its own, without a template: for what the model and the functions' frame do by themselves. */
import type { ApiDefinition, ApiRoute } from "./api-definition.ts";
import { type ApiGateway, startApiGateway } from "./api-gateway.ts";
import { DeployedFunction, type DeployedFunctionOptions } from "./deployed-function.ts";
import type { FunctionCode } from "./execution-environment.ts";
import type { Pace } from "./stream-response.ts";
import type { FunctionDefinition } from "./template.ts";

export interface FunctionApi {
  readonly url: string;
  readonly function: DeployedFunction;
  readonly gateway: ApiGateway;
  log(): string;
  close(): Promise<void>;
}

export interface FunctionApiOptions
  extends FunctionCode,
    Pick<DeployedFunctionOptions, "idleMs" | "maxEnvironments"> {
  readonly definition?: Partial<FunctionDefinition>;
  readonly api?: Partial<ApiDefinition>;
  /** Of API Gateway, for the function. */
  readonly timeoutMs?: number;
  readonly pace?: Pace;
}

export async function startFunctionApi(options: FunctionApiOptions): Promise<FunctionApi> {
  const { runtimeClient, codeFolder, definition = {}, api = {}, timeoutMs = 900_000, ...others } = options;
  const called = new DeployedFunction({
    ...others,
    definition: {
      ...{ id: "UnderTest", roleId: "", memoryMib: 1769, timeoutMs: 60_000, temporaryStorageMib: 512 },
      ...{ reservedConcurrency: undefined, environment: {} },
      ...definition,
    },
    code: async () => ({ runtimeClient, codeFolder }),
  });
  const route: ApiRoute = {
    ...{ path: "/{proxy+}", method: "ANY", function: "underTest", isAuthorized: false },
    timeoutMs,
  };
  const whole: ApiDefinition = {
    ...{ stage: "test", routes: [route], gatewayResponses: {} },
    binaryMediaTypes: ["application/x-git-upload-pack-request"],
    ...api,
  };
  const unlimited: Pace = { burstBytes: Number.POSITIVE_INFINITY, bytesPerSecond: Number.POSITIVE_INFINITY };
  const gateway = await startApiGateway({
    definition: () => whole,
    functionOf: () => called,
    pace: options.pace ?? unlimited,
  });
  return {
    ...{ url: gateway.url, function: called, gateway },
    log: () => called.log(),
    async close() {
      await gateway.close();
      await called.close();
    },
  };
}
