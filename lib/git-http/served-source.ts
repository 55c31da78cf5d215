import type { UploadPackSource } from "../git/ports.ts";

/** A repository to serve, and when the primary's refs were last seen to be its refs. */
export interface ServedSource extends UploadPackSource {
  readonly verifiedAt?: Date;
  /** Time of the primary's last webhook for a push; absent where no other process gets webhooks. */
  readonly announcedAt?: Date | undefined;
  /** The same for requests of one caller. */
  forCaller?(caller: string, serverUrl?: string): ServedSource;
  readonly uuid?: string;
  /** One up at each publish. */
  readonly generation?: number;
}
