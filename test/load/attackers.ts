/**
 * Runs one shape, in a process of its own: what attackers themselves compute delays no honest caller. Newcomers ask from the parent.
 */
import type { AttackersMessage, AttackOrder, LoadTarget } from "./load-target.ts";
import { SHAPES } from "./shapes.ts";

const asking: (() => void)[] = [];

function tell(message: AttackersMessage): void {
  process.send?.(message);
}

const askAsNewcomer: LoadTarget["askAsNewcomer"] = (requests) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  tell({ kind: "ask", id: asking.push(resolve) - 1, requests });
  return promise;
};

async function uuidOf(apiUrl: string, slug: string): Promise<string> {
  const authorization = `Basic ${btoa("owner@example.com:owner")}`;
  const response = await fetch(`${apiUrl}/repositories/acme/${slug}`, { headers: { authorization } });
  return ((await response.json()) as { readonly uuid: string }).uuid;
}

async function attack({ shape, apiUrl, ...mirror }: Extract<AttackOrder, { kind: "attack" }>): Promise<void> {
  const target = { ...mirror, askAsNewcomer, uuidOf: (slug: string) => uuidOf(apiUrl, slug) };
  const received = await SHAPES.find(({ name }) => name === shape)?.run(target);
  tell({ kind: "attacked", received: received ?? [] });
}

process.on("message", (order: AttackOrder) => {
  if (order.kind === "asked") asking[order.id]?.();
  else void attack(order);
});
