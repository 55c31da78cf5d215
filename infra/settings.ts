/** The settings of a deployment, from `nearside.config.json` alone: the same for every deploy. */
import type { Node } from "constructs";
import { type AddressRange, formatAddressRange, parseAddressSetting } from "../lib/address-ranges.ts";
import { ENV, ENVIRONMENT_SETTINGS } from "../lib/config.ts";
import { SETTING_NAMES, SETTINGS, type SettingName, settingOf } from "../lib/settings.ts";
import { type FileSettings, SETTINGS_FILE } from "../lib/settings-file.ts";

/** What a function may use of the account's concurrent executions: reserved for it, and no more. */
interface FunctionConcurrency {
  /** 0: what others have not reserved. */
  readonly authorizer: number;
  readonly gitHttp: number;
  readonly status: number;
  readonly pages: number;
  readonly webhook: number;
  readonly reconcile: number;
  /** Jobs of its queue at a time, which are not reserved; as `lfsSync`. */
  readonly sync: number;
  readonly lfsSync: number;
}

interface TimeOfDay {
  readonly hour: string;
  readonly minute: string;
}

export interface StreamTierSettings {
  /** Where clients reach it, without a slash at its end. */
  readonly url: string;
  /** The ARN of its certificate. */
  readonly certificate: string;
  /** In a registry; by default it is built from the Dockerfile. */
  readonly image: string | undefined;
  /** Of the secret with its keys. */
  readonly keysVersion: string | undefined;
  readonly tasks: number;
  readonly schedule:
    | "always"
    | {
        /** As cron has it: `MON-FRI`. */
        readonly days: string;
        readonly from: TimeOfDay;
        readonly to: TimeOfDay;
        readonly timeZone: string;
      };
}

export interface DomainSettings {
  readonly name: string;
  /** One in each region. */
  readonly certificateArns: readonly string[];
  readonly hostedZoneId: string | undefined;
}

export interface DeploymentSettings {
  /** In front of the stacks' names, so that an account can hold more than one mirror. */
  readonly stackPrefix: string;
  /** Empty: that of the AWS CLI. */
  readonly regions: readonly string[];
  readonly existingBucket: string | undefined;
  readonly permissionsBoundary: string | undefined;
  readonly bootstrapQualifier: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** Empty: every address is served. */
  readonly allowedAddresses: readonly AddressRange[];
  /** Where webhooks are accepted from, as the webhook function reads it. */
  readonly webhookAddresses: string;
  /** The first part of the names of the SSM parameters with the mirror's secrets. With a slash at both ends. */
  readonly secretPath: string;
  /** API Gateway has one role for its logs in an account and region: whether to set it. */
  readonly setsApiLogRole: boolean;
  readonly domain: DomainSettings | undefined;
  /** Of one address in five minutes; 0: no WAF. */
  readonly wafRequestsPerFiveMinutes: number;
  readonly ipAddressType: "ipv4" | "dualstack";
  /** Whether requests to the primary come from one address. */
  readonly hasFixedEgress: boolean;
  readonly kmsKeyArn: string | undefined;
  readonly authSecretVersion: string | undefined;
  readonly concurrency: FunctionConcurrency;
  /** Whether rows with `isDetail` are recorded, shown and watched. */
  readonly hasAllMetrics: boolean;
  /** Where alarms go: a topic's ARN, else an address that gets e-mail. */
  readonly alarmTopic: string | undefined;
  readonly alarmEmail: string | undefined;
  /** Of the whole API. */
  readonly requestsPerSecond: number;
  /** `undefined`: there is none. */
  readonly streamTier: StreamTierSettings | undefined;
  /** Variables of every function, but for the webhook addresses, which may be long. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Lambda accepts 4 kB for all variables together. */
const MAX_WEBHOOK_ADDRESSES_LENGTH = 3_000;

/** Of AWS WAF, for a rate-based rule. */
const MIN_WAF_REQUESTS = 10;

/** @throws {Error} A value that AWS does not accept. */
export function deploymentSettings(file: FileSettings): DeploymentSettings {
  const { stackPrefix = SETTINGS.stackPrefix.default, existingBucket } = file;
  const secretPath = file.secretPath ?? `/${stackPrefix.toLowerCase()}/`;
  const values = { ...file, secretPath };
  const names = ENVIRONMENT_SETTINGS.filter((name) => name !== "webhookAddresses");
  const regions = file.regions?.split(",") ?? [];
  for (const name of ["existingBucket", "kmsKeyArn"] as const) {
    if (file[name] !== undefined && regions.length > 1)
      throw new Error(`${name} is in one region, and regions names several`);
  }
  const wafRequestsPerFiveMinutes = file.wafRequestsPerFiveMinutes ?? 0;
  if (wafRequestsPerFiveMinutes > 0 && wafRequestsPerFiveMinutes < MIN_WAF_REQUESTS)
    throw new Error(`wafRequestsPerFiveMinutes must be 0 or at least ${MIN_WAF_REQUESTS}`);
  if (file.alarmTopic !== undefined && regions.length > 1)
    throw new Error("alarmTopic is in one region, and regions names several: set alarmEmail");
  return {
    stackPrefix,
    regions: [...new Set(regions)],
    existingBucket,
    permissionsBoundary: file.permissionsBoundary,
    bootstrapQualifier: file.bootstrapQualifier,
    tags: tagsOf(file.tags),
    allowedAddresses: parseAddressSetting(file.allowedAddresses ?? SETTINGS.allowedAddresses.default),
    webhookAddresses: webhookAddresses(file.webhookAddresses ?? SETTINGS.webhookAddresses.default),
    secretPath,
    setsApiLogRole: file.apiLogRole === "create",
    domain: domainOf(file, regions),
    wafRequestsPerFiveMinutes,
    ipAddressType: file.ipAddressType ?? SETTINGS.ipAddressType.default,
    hasFixedEgress: file.egress === "fixed",
    kmsKeyArn: file.kmsKeyArn,
    authSecretVersion: file.authSecretVersion,
    concurrency: concurrencyOf(file),
    hasAllMetrics: file.metrics === "all",
    alarmTopic: file.alarmTopic,
    alarmEmail: file.alarmEmail,
    requestsPerSecond: file.requestsPerSecond ?? SETTINGS.requestsPerSecond.default,
    streamTier: streamTierOf(file),
    environment: Object.fromEntries(
      names.map((name) => [ENV[name], String(values[name] ?? settingOf(name).default)]),
    ),
  };
}

function streamTierOf(file: FileSettings): StreamTierSettings | undefined {
  if ((file.streamTier ?? "off") === "off") return undefined;
  const { streamTierUrl: url, streamTierCertificate: certificate, streamTierImage: image } = file;
  if (url === undefined || certificate === undefined)
    throw new Error("streamTier needs streamTierUrl and streamTierCertificate");
  if (!url.startsWith("https://") || new URL(url).pathname !== "/")
    throw new Error("streamTierUrl must be https:// and a name, without a path");
  return {
    ...{ url, certificate, image },
    keysVersion: file.streamTierKeysVersion,
    tasks: file.streamTierTasks ?? SETTINGS.streamTierTasks.default,
    schedule: scheduleOf(file.streamTierSchedule ?? SETTINGS.streamTierSchedule.default),
  };
}

function scheduleOf(text: string): StreamTierSettings["schedule"] {
  if (text === "always") return text;
  const [days = "", hours = "", timeZone = ""] = text.split(" ");
  const [from = "", to = ""] = hours.split("-");
  if (from >= to) throw new Error("streamTierSchedule must begin before it ends, on the same day");
  const timeOf = (time: string): TimeOfDay => ({
    hour: String(Number(time.slice(0, 2))),
    minute: String(Number(time.slice(3))),
  });
  return { days, from: timeOf(from), to: timeOf(to), timeZone };
}

function domainOf(
  { domainName, certificateArns, hostedZoneId }: FileSettings,
  regions: readonly string[],
): DomainSettings | undefined {
  if (domainName === undefined && certificateArns === undefined && hostedZoneId === undefined)
    return undefined;
  if (domainName === undefined || certificateArns === undefined)
    throw new Error("domainName and certificateArns belong together, and hostedZoneId needs both");
  const arns = certificateArns.split(",");
  const missing = regions.find((region) => !arns.some((arn) => arn.split(":")[3] === region));
  if (missing !== undefined) throw new Error(`certificateArns has no certificate in ${missing}`);
  return { name: domainName, certificateArns: arns, hostedZoneId };
}

function concurrencyOf(file: FileSettings): FunctionConcurrency {
  const number = (name: ConcurrencySetting) => file[name] ?? SETTINGS[name].default;
  return {
    authorizer: number("authorizerConcurrency"),
    gitHttp: number("gitConcurrency"),
    status: number("statusConcurrency"),
    pages: number("pagesConcurrency"),
    webhook: number("webhookConcurrency"),
    reconcile: number("reconcileConcurrency"),
    sync: number("syncConcurrency"),
    lfsSync: number("lfsConcurrency"),
  };
}

type ConcurrencySetting = Extract<SettingName, `${string}Concurrency`>;

function tagsOf(text: string | undefined): Record<string, string> {
  const pairs = text?.split(",") ?? [];
  return Object.fromEntries(pairs.map((pair) => pair.split("=", 2)));
}

/**
 * The file that `-c config=<file>` names. Settings themselves are refused as CDK context: one that is forgotten in the next deploy
 * would open the API.
 * @returns `undefined` for the default file.
 * @throws {Error} A setting is given as context.
 */
export function settingsFileOf(node: Node): string | undefined {
  for (const name of SETTING_NAMES) {
    if (node.tryGetContext(name) !== undefined)
      throw new Error(`${name} is set in ${SETTINGS_FILE}, not as CDK context (-c)`);
  }
  const file: unknown = node.tryGetContext("config");
  if (file !== undefined && (typeof file !== "string" || file === ""))
    throw new Error("-c config=<file> must name a file");
  return file;
}

/** Who can reach the API, for the person who deploys it. */
export function describeReach({ allowedAddresses }: DeploymentSettings): string {
  if (allowedAddresses.length === 0) return "The API accepts requests from any address.";
  return `The API accepts requests from ${allowedAddresses.map(formatAddressRange).join(", ")} only.`;
}

/** For the person who deploys it. @returns `undefined` where there is nothing to do. */
export function adviceAboutAlarms({ alarmTopic, alarmEmail }: DeploymentSettings): string | undefined {
  if (alarmTopic !== undefined || alarmEmail !== undefined) return undefined;
  return `No alarm notifies anyone. Set deployment.alarmEmail or deployment.alarmTopic in ${SETTINGS_FILE}, and deploy again.`;
}

function webhookAddresses(text: string): string {
  const ranges = parseAddressSetting(text);
  if (ranges.length === 0) return "any";
  const formatted = ranges.map(formatAddressRange).join(",");
  if (formatted.length > MAX_WEBHOOK_ADDRESSES_LENGTH)
    throw new Error(`webhookAddresses is longer than ${MAX_WEBHOOK_ADDRESSES_LENGTH} characters`);
  return formatted;
}
