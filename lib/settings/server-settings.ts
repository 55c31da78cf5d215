/** Settings of a server alone. */
import type { Setting } from "./setting.ts";

export const SERVER_SETTINGS = {
  metricsAddresses: {
    type: "addresses",
    default: "none",
    description:
      "who may read `/-/metrics`; `127.0.0.1` for the server's own machine, if no proxy runs there",
    flag: "--metrics-address",
  },
  trustedProxies: {
    type: "addresses",
    default: "none",
    description:
      "proxies before the server: in requests from these addresses `X-Forwarded-For`, else `Forwarded`, names the client",
    flag: "--trusted-proxy",
  },
  maxConnections: {
    type: "integer",
    min: 10,
    max: 1_000_000,
    default: 2_000,
    description: "limit of connections; one address that is no trusted proxy can have half of them",
  },
  maxPlans: {
    type: "integer",
    min: 1,
    max: 1_000,
    default: 64,
    description: "limit of clones and fetches that are prepared at a time; further ones wait up to 60 s",
  },
  maxPlansOfCaller: {
    type: "integer",
    min: 1,
    max: 1_000,
    default: 8,
    description:
      "the same limit for one caller: an account at an address, a token, or an address without credential",
  },
  store: {
    type: "text",
    // Other schemes, and "s3:/bucket", are mistakes rather than names of folders.
    pattern: /^(?:s3:\/\/[^/]+(?:\/.*)?|(?![a-z][a-z0-9+.-]*:\/).+)$/is,
    rule: "must be a folder, or s3://bucket/prefix",
    default: ".nearside/store",
    description: "where the mirror is stored: a folder, or s3://bucket/prefix",
  },
  s3Endpoint: {
    type: "url",
    description: "an S3 server other than AWS's; it must support conditional writes",
  },
  s3PublicEndpoint: {
    type: "url",
    description:
      "where clients reach the S3 server, if at another address than the mirror, for LFS files, packs and bundles",
  },
  host: {
    type: "ip-address",
    default: "127.0.0.1",
    description: "the IP address to listen on",
  },
  port: {
    type: "integer",
    min: 0,
    max: 65_535,
    default: 7_880,
    description: "the port to listen on; 0 picks a free one",
  },
  tlsCertificate: {
    type: "text",
    description:
      "a file with the server's certificate and those between it and the root, in PEM, for HTTPS; read again when it changes",
  },
  tlsKey: {
    type: "text",
    description: "the file with the certificate's private key, in PEM",
  },
  pollSeconds: {
    type: "number",
    min: 0.1,
    max: 86_400,
    default: 60,
    description: "how often to ask Bitbucket for changes",
  },
  webhookUrl: {
    type: "url",
    description:
      "the address of this mirror for Bitbucket, through a proxy with TLS; installs webhooks there",
  },
  publicRepositories: {
    type: "choice",
    choices: ["mirror", "skip"],
    default: "mirror",
    description: "whether to mirror repositories that are public at Bitbucket, of those that options select",
  },
} as const satisfies Record<string, Setting>;
