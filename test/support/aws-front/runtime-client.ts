/** Where the tests find AWS's runtime client; install-ric.sh, beside this file, puts it there. */

/** @returns Its entry file, or `undefined`: then the tests that need it are left out, which CI must not do. */
export function findRuntimeClient(): string | undefined {
  const { NEARSIDE_RIC: entryFile, CI: isCi } = process.env;
  if (entryFile !== undefined && entryFile !== "") return entryFile;
  if (isCi !== undefined && isCi !== "") {
    throw new Error(
      "NEARSIDE_RIC is not set: run test/support/aws-front/install-ric.sh and set it to what that prints",
    );
  }
  return undefined;
}
