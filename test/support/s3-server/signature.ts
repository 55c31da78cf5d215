/**
 * Checks AWS Signature Version 4, in headers and in presigned URLs: signs the request anew and compares.
 * Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html.
 */
import { SignatureV4 } from "@smithy/signature-v4";
import { NodeSha256 } from "./node-sha256.ts";
import { invalidRequest, S3Error } from "./s3-error.ts";

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface SignedRequest {
  readonly method: string;
  /** As received, still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
}

interface Claim {
  readonly isPresigned: boolean;
  readonly credential: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly signedAtText: string;
  readonly expiresSeconds: number;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
const MAX_CLOCK_SKEW_SECONDS = 15 * 60;
const MAX_PRESIGNED_SECONDS = 7 * 24 * 60 * 60;
const UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD";
const SIGNATURE_PARAMETERS = ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"].map(
  (name) => `X-Amz-${name}`,
);

/**
 * @returns What the signature says of the body: its SHA-256 in hex, or one of S3's words.
 * @throws {S3Error} The request is not signed, or not by these credentials, or not now.
 */
export async function checkSignature(
  request: SignedRequest,
  { credentials, region, nowMs }: { credentials: S3Credentials; region: string; nowMs: number },
): Promise<string> {
  const claim = readClaim(request);
  const [accessKeyId, date, claimedRegion, service, terminator, ...rest] = claim.credential.split("/");
  if (accessKeyId !== credentials.accessKeyId) throw new S3Error(403, "InvalidAccessKeyId");
  const scope = [claimedRegion, service, terminator];
  if (
    rest.length > 0 ||
    scope.join("/") !== `${region}/s3/aws4_request` ||
    !claim.signedAtText.startsWith(`${date}T`)
  ) {
    throw new S3Error(
      400,
      "AuthorizationHeaderMalformed",
      `the scope must be of region ${region} and the day signed`,
    );
  }
  const signedAt = parseTime(claim.signedAtText);
  checkTime(claim, signedAt.getTime(), nowMs);
  checkSignedHeaders(request, claim);
  const payload =
    request.headers["x-amz-content-sha256"] ?? (claim.isPresigned ? UNSIGNED_PAYLOAD : undefined);
  if (payload === undefined) throw invalidRequest("x-amz-content-sha256 is missing");
  const expected = await sign(request, claim, signedAt, payload, { credentials, region });
  if (expected !== claim.signature) throw new S3Error(403, "SignatureDoesNotMatch");
  return payload;
}

function readClaim({ headers, query }: SignedRequest): Claim {
  const { authorization } = headers;
  if (authorization === undefined) return readPresignedClaim(query);
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  const [, credential, signedHeaders, signature] = match ?? [];
  if (credential === undefined || signedHeaders === undefined || signature === undefined) {
    throw new S3Error(400, "AuthorizationHeaderMalformed");
  }
  return {
    isPresigned: false,
    credential,
    signedHeaders: signedHeaders.split(";"),
    signature,
    signedAtText: headers["x-amz-date"] ?? "",
    expiresSeconds: MAX_CLOCK_SKEW_SECONDS,
  };
}

function readPresignedClaim(query: URLSearchParams): Claim {
  const signature = query.get("X-Amz-Signature");
  if (signature === null) throw new S3Error(403, "AccessDenied", "the request is not signed");
  const expiresSeconds = Number(query.get("X-Amz-Expires") ?? "none");
  if (
    query.get("X-Amz-Algorithm") !== ALGORITHM ||
    !(expiresSeconds > 0 && expiresSeconds <= MAX_PRESIGNED_SECONDS)
  ) {
    throw new S3Error(400, "AuthorizationQueryParametersError");
  }
  return {
    isPresigned: true,
    credential: query.get("X-Amz-Credential") ?? "",
    signedHeaders: (query.get("X-Amz-SignedHeaders") ?? "").split(";"),
    signature,
    signedAtText: query.get("X-Amz-Date") ?? "",
    expiresSeconds,
  };
}

/** @param text - As in `20261123T140000Z`. */
function parseTime(text: string): Date {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(time.getTime())) throw new S3Error(403, "AccessDenied", "X-Amz-Date is missing or wrong");
  return time;
}

function checkTime({ isPresigned, expiresSeconds }: Claim, signedAtMs: number, nowMs: number): void {
  const ageSeconds = (nowMs - signedAtMs) / 1000;
  if (ageSeconds < -MAX_CLOCK_SKEW_SECONDS) throw new S3Error(403, "RequestTimeTooSkewed");
  if (ageSeconds <= expiresSeconds) return;
  throw isPresigned
    ? new S3Error(403, "AccessDenied", "Request has expired")
    : new S3Error(403, "RequestTimeTooSkewed");
}

function checkSignedHeaders({ headers }: SignedRequest, { signedHeaders }: Claim): void {
  for (const name of Object.keys(headers)) {
    if ((name === "host" || name.startsWith("x-amz-")) && !signedHeaders.includes(name)) {
      throw new S3Error(403, "AccessDenied", `header ${name} is not signed`);
    }
  }
}

async function sign(
  { method, path, query, headers }: SignedRequest,
  { isPresigned, signedHeaders, expiresSeconds }: Claim,
  signingDate: Date,
  payload: string,
  { credentials, region }: { credentials: S3Credentials; region: string },
): Promise<string> {
  const signer = new SignatureV4({
    credentials,
    region,
    service: "s3",
    sha256: NodeSha256,
    uriEscapePath: false,
  });
  const headersToSign: Record<string, string> = { "x-amz-content-sha256": payload };
  for (const name of signedHeaders) headersToSign[name] = headers[name] ?? "";
  const request = {
    method,
    protocol: "http:",
    hostname: "127.0.0.1",
    path,
    query: queryBag(query),
    headers: headersToSign,
  };
  if (isPresigned) {
    const signed = await signer.presign(request, {
      signingDate,
      expiresIn: expiresSeconds,
      unhoistableHeaders: new Set(Object.keys(headersToSign)),
      unsignableHeaders: new Set(
        signedHeaders.includes("x-amz-content-sha256") ? [] : ["x-amz-content-sha256"],
      ),
      signableHeaders: new Set(signedHeaders),
    });
    return String(signed.query?.["X-Amz-Signature"]);
  }
  const signed = await signer.sign(request, { signingDate, signableHeaders: new Set(signedHeaders) });
  const { authorization = "" } = signed.headers;
  return authorization.split("Signature=")[1] ?? "";
}

function queryBag(query: URLSearchParams): Record<string, string | string[]> {
  const bag: Record<string, string | string[]> = {};
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    if (!SIGNATURE_PARAMETERS.includes(name)) bag[name] = values.length === 1 ? values.join() : values;
  }
  return bag;
}
