/** Changes of the relay's webhooks: each returns a new configuration. */
import { ConfigError } from "../errors.ts";
import type { MirrorConfig, RelayWebhook } from "./mirror-config.ts";

/** @throws {ConfigError} There is one with this address or id. */
export function addRelayWebhook(config: MirrorConfig, webhook: RelayWebhook): MirrorConfig {
  const { relayWebhooks = [] } = config;
  const same = relayWebhooks.find(({ id, url }) => id === webhook.id || url === webhook.url);
  if (same !== undefined)
    throw new ConfigError(`${same.url} is a receiver already, as ${same.id}: remove it first to change it`);
  return { ...config, relayWebhooks: [...relayWebhooks, webhook] };
}

/** @param which - Its id or its address. @throws {ConfigError} There is none. */
export function removeRelayWebhook(config: MirrorConfig, which: string): MirrorConfig {
  const { relayWebhooks = [] } = config;
  const rest = relayWebhooks.filter(({ id, url }) => id !== which && url !== which);
  if (rest.length === relayWebhooks.length)
    throw new ConfigError(`no receiver is called ${which}: nearside relay list shows them`);
  return { ...config, relayWebhooks: rest };
}
