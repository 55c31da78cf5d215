/** A part of the script of pages, for lib/pages/other-mirrors.ts: how near each mirror is, by two requests to each, the second of which finds a connection. */
export const MIRRORS_SCRIPT = `
async function latencyOf(url) {
  let best = Infinity;
  for (let tries = 0; tries < 2; tries++) {
    const startedAt = performance.now();
    await fetch(url + "/-/page.css?latency=" + Math.random(), {
      mode: "no-cors", cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(5_000),
    });
    best = Math.min(best, performance.now() - startedAt);
  }
  return best;
}
async function sortMirrors() {
  const list = document.getElementById("mirrors");
  const measured = await Promise.all([...list?.children ?? []].map(async (item) => {
    const ms = await latencyOf(item.dataset.mirror).catch(() => Infinity);
    const tag = item.querySelector("[data-latency]");
    tag.textContent = ms === Infinity ? "not reached from here" : Math.round(ms) + " ms away";
    tag.hidden = false;
    return { item, ms };
  }));
  measured.sort((one, other) => one.ms - other.ms || 0);
  for (const { item } of measured) list.append(item);
}
sortMirrors();
`;
