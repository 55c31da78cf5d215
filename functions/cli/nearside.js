#!/usr/bin/env node
// Starts the command line, whatever Node is there: the sources are TypeScript, which Node 24 runs as they are. `npm ci` brings it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const program = new URL("../nearside.ts", import.meta.url);

if (Number.parseInt(process.versions.node, 10) >= 24) await import(program.href);
else startWithOwnNode();

function startWithOwnNode() {
  const name = process.platform === "win32" ? "node.exe" : "node";
  const node = fileURLToPath(new URL(`../../node_modules/node/bin/${name}`, import.meta.url));
  if (!existsSync(node)) {
    process.stderr.write(
      `nearside: needs Node 24, and this is ${process.version}: run npm ci, which brings it\n`,
    );
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(program), ...process.argv.slice(2)], { stdio: "inherit" });
  // Ctrl-C reaches both; whoever stops this one means that one.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
}
