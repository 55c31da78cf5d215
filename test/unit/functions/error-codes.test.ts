/** Every error that a command prints has a code, and every code a description. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ERROR_CODES, errorCode } from "../../../functions/cli/error-codes.ts";
import { errorCodeOf, explainWithCode } from "../../../functions/cli/explain.ts";
import { UpstreamError } from "../../../lib/errors.ts";
import { dataOf, runCli } from "../../support/cli.ts";

const ROOT = new URL("../../../", import.meta.url);

function sources(): string[] {
  return ["lib", "functions"].flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, ROOT), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .map((path) => readFileSync(new URL(`${folder}/${path}`, ROOT), "utf8")),
  );
}

test("codes of errors and of the API's answers are described", () => {
  const used = new Set(
    sources().flatMap((text) =>
      [...text.matchAll(/\bcode(?: = |: )"([A-Z][A-Z0-9_]+)"/g)].map(([, code = ""]) => code),
    ),
  );
  // Of a worker's error that has none, which is a fault.
  used.delete("UNKNOWN");
  expect(used.size).toBeGreaterThan(15);
  expect([...used].filter((code) => errorCode(code) === undefined)).toEqual([]);
  expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length);
});

test.each([
  [["status", "--no-such-option"], "ARGUMENTS"],
  [["no-such-command"], "ARGUMENTS"],
  // It asks nothing of Bitbucket.
  [["status", "--api-url", "https://api.example.com/2.0"], "ARGUMENTS"],
  [["relay", "no-such-part"], "ARGUMENTS"],
  [["select"], "ARGUMENTS"],
  [["select", "acme", "--public", "no"], "ARGUMENTS"],
  [["pause", "acme", "--store", "/nonexistent/of-tests"], "CONFIG"],
  [["errors", "NO_SUCH_CODE"], "CONFIG"],
  [["status", "--config", "/nonexistent/of-tests.json"], "CONFIG"],
])("%j ends with the code %s", async (args, code) => {
  const { exitCode, stderr } = await runCli(args);
  expect([exitCode, stderr.split("\n")[0]]).toEqual([
    2,
    expect.stringMatching(new RegExp(` \\[${code}\\]$`)),
  ]);
});

test("the code is behind the first line, before what to do next", () => {
  const error = new UpstreamError("Bitbucket answered 401", { retryable: false, status: 401 });
  expect(explainWithCode(error)).toMatch(/^Bitbucket answered 401 \[UPSTREAM\]\n {2}The credential is wrong/);
});

test.each([
  [Object.assign(new Error("x"), { code: "ENOSPC", syscall: "write" }), "ENOSPC"],
  [Object.assign(new Error("x"), { code: "ECONNRESET", syscall: "read" }), "ECONNRESET"],
  [Object.assign(new Error("x"), { name: "ExpiredToken" }), "ExpiredToken"],
  [Object.assign(new Error("x"), { name: "Unknown", $metadata: { httpStatusCode: 200 } }), "NOT_S3"],
  [new TypeError("a fault"), "INTERNAL"],
  ["no error", "INTERNAL"],
])("%s has the code %s", (error, code) => {
  expect(errorCodeOf(error)).toBe(code);
});

test("states in which something is to be done are described as well", async () => {
  for (const state of ["NO_ACCESS", "DAMAGED", "ERROR_INITIALIZING", "ERROR_AVAILABLE"]) {
    const { exitCode, stdout } = await runCli(["errors", state.toLowerCase()]);
    expect([exitCode, stdout]).toEqual([
      0,
      expect.stringMatching(new RegExp(`^${state}: .*\\n  .*nearside `)),
    ]);
  }
});

test("nearside errors lists all, or describes one in any case", async () => {
  const list = await runCli(["errors"]);
  for (const code of ERROR_CODES) expect(list.stdout).toContain(code);
  const one = await runCli(["errors", "upstream"]);
  expect(one).toMatchObject({ exitCode: 0 });
  expect(one.stdout).toMatch(/^UPSTREAM: Bitbucket could not be reached.*\n {2}.*nearside doctor/);
  const { stdout } = await runCli(["errors", "ENOSPC", "--json"]);
  expect(dataOf(stdout)).toEqual([
    {
      code: "ENOSPC",
      meaning: "A disk is full.",
      next: "The disk is full: free some space, then try again.",
    },
  ]);
});
