/** The command line that a mirror is run with: `npx nearside`, which starts it by way of functions/cli/nearside.js. Not deployed. */
import { runNearside } from "./cli/program.ts";

process.exitCode = await runNearside(process.argv.slice(2));
