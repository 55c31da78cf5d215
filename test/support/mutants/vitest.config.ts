/** For `npm run mutants`, which says which tests to run. */
import { defineConfig } from "vitest/config";

/** Names an environment variable: the test files, with `:` between them. */
export const TESTS_VARIABLE = "NEARSIDE_MUTANT_TESTS";

export default defineConfig({
  test: {
    include: process.env[TESTS_VARIABLE]?.split(":") ?? [],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
