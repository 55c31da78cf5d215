/** The command line that a mirror is run with, started by way of functions/cli/nearside.js. Not deployed. */
import { runNearside } from "./cli/program.ts";

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});
// Connections that are kept alive, and timers, must not keep the process.
process.exit(await runNearside(process.argv.slice(2)));
