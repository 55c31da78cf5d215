/** Where the primary has a repository, and how callers are told to push there. */

/**
 * @param gitUrl - Where the primary serves git, without a slash at its end.
 * @param primaryPath - The repository's path below it: `workspace/slug`.
 * @returns With `.git`.
 */
export function repositoryUrlOf(gitUrl: string, primaryPath: string): string {
  return `${gitUrl}/${primaryPath.split("/").map(encodeURIComponent).join("/")}.git`;
}

/** The line that refuses a write, with the command that sends writes to the primary. @param repositoryUrl - `undefined` if unknown. */
export function readOnlyText(repositoryUrl: string | undefined): string {
  if (repositoryUrl === undefined) return "this mirror is read-only, push to Bitbucket itself";
  return `this mirror is read-only; to push to Bitbucket: git remote set-url --push origin ${repositoryUrl}`;
}
