/** What git sends with a fetch request of protocol version 2. */
export const FETCH_HEADERS = {
  "content-type": "application/x-git-upload-pack-request",
  accept: "application/x-git-upload-pack-result",
  "git-protocol": "version=2",
} as const;
