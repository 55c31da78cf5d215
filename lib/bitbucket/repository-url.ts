/** The repository's URL at the primary, and the message with the URL to push to. */

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

const LFS_PATH = /^(?:\/+[^/]+){2,3}?\/+info\/lfs\/(.+)$/;

/**
 * @param repositoryUrl - As of {@link repositoryUrlOf}.
 * @param request - Of git-lfs to the mirror.
 * @returns The same request's URL at the primary; `undefined` if its path leads elsewhere.
 */
export function lfsUrlOf(
  repositoryUrl: string,
  { path, query }: { readonly path: string; readonly query: URLSearchParams },
): string | undefined {
  const lfsUrl = `${repositoryUrl}/info/lfs/`;
  const url = URL.parse(
    `${lfsUrl}${LFS_PATH.exec(path)?.[1] ?? ".."}${query.size === 0 ? "" : `?${query}`}`,
  )?.href;
  // Dots in the path may have led elsewhere.
  return url?.startsWith(URL.parse(lfsUrl)?.href ?? url) ? url : undefined;
}
