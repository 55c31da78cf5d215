/** The settings of a deployment, from `nearside.config.json` alone: the same for every deploy. */
import type { Node } from "constructs";
import { formatAddressRange, parseAddressSetting } from "../lib/address-ranges.ts";
import { ENV, ENVIRONMENT_SETTINGS } from "../lib/config.ts";
import { SETTING_NAMES, SETTINGS, type SettingName, settingOf } from "../lib/settings.ts";
import { type FileSettings, SETTINGS_FILE } from "../lib/settings-file.ts";

export type DeploymentSettings = Readonly<ReturnType<typeof deploymentSettings>>;
export type DomainSettings = NonNullable<DeploymentSettings["domain"]>;
export type StreamTierSettings = NonNullable<DeploymentSettings["streamTier"]>;

/** Lambda accepts 4 kB for all variables together. */
const MAX_WEBHOOK_ADDRESSES_LENGTH = 3_000;

/** Of AWS WAF, for a rate-based rule. */
const MIN_WAF_REQUESTS = 10;

/** @throws {Error} A value that AWS does not accept. */
export function deploymentSettings(file: FileSettings) {
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
    /** In front of the stacks' names, so that an account can hold more than one mirror. */
    stackPrefix,
    /** Empty: that of the AWS CLI. */
    regions: [...new Set(regions)],
    existingBucket,
    permissionsBoundary: file.permissionsBoundary,
    bootstrapQualifier: file.bootstrapQualifier,
    tags: Object.fromEntries(
      (file.tags?.split(",") ?? []).map((pair) => pair.split("=", 2) as [string, string]),
    ),
    /** Empty: every address is served. */
    allowedAddresses: parseAddressSetting(file.allowedAddresses ?? SETTINGS.allowedAddresses.default),
    /** Where webhooks are accepted from, as the webhook function reads it. */
    webhookAddresses: webhookAddresses(file.webhookAddresses ?? SETTINGS.webhookAddresses.default),
    /** The first part of the names of the SSM parameters with the mirror's secrets. With a slash at both ends. */
    secretPath,
    /** API Gateway has one role for its logs in an account and region: whether to set it. */
    setsApiLogRole: file.apiLogRole === "create",
    domain: domainOf(file, regions),
    /** Of one address in five minutes; 0: no WAF. */
    wafRequestsPerFiveMinutes,
    ipAddressType: file.ipAddressType ?? SETTINGS.ipAddressType.default,
    /** Whether requests to the primary come from one address. */
    hasFixedEgress: file.egress === "fixed",
    kmsKeyArn: file.kmsKeyArn,
    authSecretVersion: file.authSecretVersion,
    concurrency: concurrencyOf(file),
    /** Whether rows with `isDetail` are recorded, shown and watched. */
    hasAllMetrics: file.metrics === "all",
    /** Whether administrators of a workspace act on it by the pages. */
    hasPageAdministration: (file.administration ?? SETTINGS.administration.default) !== "off",
    /** Where alarms go: a topic's ARN, else an address that gets e-mail. */
    alarmTopic: file.alarmTopic,
    alarmEmail: file.alarmEmail,
    /** Of the whole API. */
    requestsPerSecond: file.requestsPerSecond ?? SETTINGS.requestsPerSecond.default,
    /** `undefined`: there is none. */
    streamTier: streamTierOf(file),
    /** Variables of every function, but for the webhook addresses, which may be long. */
    environment: Object.fromEntries(
      names.map((name) => [ENV[name], String(values[name] ?? settingOf(name).default)]),
    ),
  };
}

function streamTierOf(file: FileSettings) {
  if ((file.streamTier ?? "off") === "off") return undefined;
  const { streamTierUrl: url, streamTierCertificate: certificate, streamTierImage: image } = file;
  if (url === undefined || certificate === undefined)
    throw new Error("streamTier needs streamTierUrl and streamTierCertificate");
  if (!url.startsWith("https://") || new URL(url).pathname !== "/")
    throw new Error("streamTierUrl must be https:// and a name, without a path");
  return {
    /** Where clients reach it, without a slash at its end. */
    url,
    /** The ARN of its certificate. */
    certificate,
    /** In a registry; by default it is built from the Dockerfile. */
    image,
    /** Of the secret with its keys. */
    keysVersion: file.streamTierKeysVersion,
    tasks: file.streamTierTasks ?? SETTINGS.streamTierTasks.default,
    schedule: scheduleOf(file.streamTierSchedule ?? SETTINGS.streamTierSchedule.default),
  };
}

function scheduleOf(text: string) {
  if (text === "always") return "always" as const;
  const [days = "", hours = "", timeZone = ""] = text.split(" ");
  const [from = "", to = ""] = hours.split("-");
  if (from >= to) throw new Error("streamTierSchedule must begin before it ends, on the same day");
  const timeOf = (time: string) => ({
    hour: String(Number(time.slice(0, 2))),
    minute: String(Number(time.slice(3))),
  });
  // Days as cron has them: `MON-FRI`.
  return { days, from: timeOf(from), to: timeOf(to), timeZone };
}

function domainOf({ domainName, certificateArns, hostedZoneId }: FileSettings, regions: readonly string[]) {
  if (domainName === undefined && certificateArns === undefined && hostedZoneId === undefined)
    return undefined;
  if (domainName === undefined || certificateArns === undefined)
    throw new Error("domainName and certificateArns belong together, and hostedZoneId needs both");
  const arns = certificateArns.split(",");
  const missing = regions.find((region) => !arns.some((arn) => arn.split(":")[3] === region));
  if (missing !== undefined) throw new Error(`certificateArns has no certificate in ${missing}`);
  // A certificate in each region.
  return { name: domainName, certificateArns: arns, hostedZoneId };
}

/** What a function may use of the account's concurrent executions: reserved for it, and no more. */
function concurrencyOf(file: FileSettings) {
  const number = (name: Extract<SettingName, `${string}Concurrency`>) => file[name] ?? SETTINGS[name].default;
  return {
    /** 0: what others have not reserved. */
    authorizer: number("authorizerConcurrency"),
    gitHttp: number("gitConcurrency"),
    status: number("statusConcurrency"),
    pages: number("pagesConcurrency"),
    webhook: number("webhookConcurrency"),
    reconcile: number("reconcileConcurrency"),
    /** Jobs of its queue at a time, which are not reserved; as `lfsSync`. */
    sync: number("syncConcurrency"),
    lfsSync: number("lfsConcurrency"),
  };
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
