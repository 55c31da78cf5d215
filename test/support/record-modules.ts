/** Preloaded by `node --import`: writes the URLs of all modules that the process loads to the file that RECORDED_MODULES names. */
import { appendFileSync } from "node:fs";
import { registerHooks } from "node:module";

const file = process.env["RECORDED_MODULES"] ?? "";

registerHooks({
  load(url, context, nextLoad) {
    appendFileSync(file, `${url}\n`);
    return nextLoad(url, context);
  },
});
