#!/usr/bin/env node
// Starts the command line, whatever Node is there: the sources are TypeScript, which Node 24 runs as they are. `npm ci` brings it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

const program = new URL("../nearside.ts", import.meta.url);

// As the functions that serve and copy have it (SERVING_NODE_OPTIONS in infra/bundle.ts), as far as a process can set it for itself.
setFlagsFromString("--semi-space-growth-factor=1");

if (Number.parseInt(process.versions.node, 10) >= 24) await import(program.href).catch(explainMissingPackage);
else startWithOwnNode();

function explainMissingPackage(error) {
  const name = /^Cannot find package '([^']+)'/.exec(error.message)?.[1];
  if (error.code !== "ERR_MODULE_NOT_FOUND" || name === undefined) throw error;
  process.stderr.write(
    `nearside: the package ${name} is missing: run npm ci in the checkout [DEPENDENCIES]\n`,
  );
  process.exit(1);
}

function startWithOwnNode() {
  const name = process.platform === "win32" ? "node.exe" : "node";
  const node = fileURLToPath(new URL(`../../node_modules/node/bin/${name}`, import.meta.url));
  if (!existsSync(node)) {
    process.stderr.write(
      `nearside: needs Node 24, and this is ${process.version}: run npm ci, which brings it [DEPENDENCIES]\n`,
    );
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(program), ...process.argv.slice(2)], { stdio: "inherit" });
  // On a terminal Ctrl-C reaches both processes; other signals reach this one only.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
