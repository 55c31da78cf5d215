/** What S3 answers when it refuses. Codes: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. */

export class S3Error extends Error {
  override readonly name = "S3Error";
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function invalidRequest(message: string): S3Error {
  return new S3Error(400, "InvalidRequest", message);
}

export function notImplemented(what: string): S3Error {
  return new S3Error(501, "NotImplemented", `${what} is not implemented`);
}
