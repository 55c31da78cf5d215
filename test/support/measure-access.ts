/**
 * `npm run measure-access`: how long the mirror takes to refuse what is forbidden, unknown and not mirrored, side by side.
 * That the steps are the same is tested (test/interop/access.test.ts); this shows the time.
 */
import { CREDENTIALS, startGuardedMirror } from "./guarded-mirror.ts";

const ROUNDS = 300;
const SLUGS = ["vault", "nothing", "unmirrored"] as const;

const mirror = await startGuardedMirror();
const durationsMs = new Map<string, number[]>(SLUGS.map((slug) => [slug, []]));
for (let round = 0; round < ROUNDS; round++) {
  // In another order each time, and with nothing remembered.
  for (let turn = 0; turn < SLUGS.length; turn++) {
    const slug = SLUGS[(round + turn) % SLUGS.length] ?? "vault";
    mirror.clock.nowMs += 60_000;
    const startMs = performance.now();
    const path = `/acme/${slug}.git/info/refs?service=git-upload-pack`;
    const response = await mirror.get(path, CREDENTIALS["API token without rights"]);
    await response.text();
    if (response.status !== 404) throw new Error(`${slug}: ${response.status}`);
    durationsMs.get(slug)?.push(performance.now() - startMs);
  }
}
for (const [slug, values] of durationsMs) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(2);
  console.log(`${slug.padEnd(12)} median ${at(0.5)} ms, middle half ${at(0.25)} to ${at(0.75)} ms`);
}
await mirror.close();
