/** The port to addresses at which a blob can be had from elsewhere, without further credentials. */

export interface BlobUrls {
  /** Of its addresses for clients that reach this server at `serverUrl`. */
  protocolOf(serverUrl?: string): "http" | "https";
  /**
   * An address that answers GET and HEAD, with ranges, for {@link BLOB_URL_LIFETIME_SECONDS}. A bearer URL: anyone who has it can read the blob.
   * @param key - Of a blob that never changes. It is not looked whether there is one.
   * @param sizeBytes - Of the blob.
   * @param serverUrl - Where the client reaches this server, without a slash at its end: for addresses of the server's own.
   *   By default where it listens.
   */
  urlOf(key: string, sizeBytes: number, serverUrl?: string): Promise<string>;
  /** For how long an address made now works: shorter where what signs it ends before. */
  lifetimeSeconds(): Promise<number>;
}

/**
 * A client is given its addresses all at once and takes one after the other, the largest last; what counts is when a
 * download begins. Within the hour a line of 10 Mbit/s has fetched the 4 GB that Bitbucket allows. Longer would be longer than
 * needed for callers who are no longer allowed to read.
 */
export const BLOB_URL_LIFETIME_SECONDS = 3600;
