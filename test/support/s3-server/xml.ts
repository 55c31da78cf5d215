/** S3's XML documents. */
import { XMLBuilder, XMLParser, XMLValidator } from "fast-xml-parser";
import { S3Error } from "./s3-error.ts";

const builder = new XMLBuilder({ suppressEmptyNode: false });
// Values stay text: "007" is no number. One part is a list as well.
const parser = new XMLParser({ parseTagValue: false, isArray: (name) => name === "Part" });

export type XmlValue =
  | string
  | number
  | boolean
  | { readonly [tag: string]: XmlValue | undefined }
  | readonly XmlValue[];

export function formatXml(
  rootTag: string,
  content: { readonly [tag: string]: XmlValue | undefined },
): string {
  const body: string = builder.build({ [rootTag]: content });
  return `<?xml version="1.0" encoding="UTF-8"?>\n${body}`;
}

export interface RequestedPart {
  readonly partNumber: number;
  readonly etag: string;
}

/** @throws {S3Error} It is not a CompleteMultipartUpload document. */
export function parseCompleteMultipartUpload(text: string): RequestedPart[] {
  if (XMLValidator.validate(text) !== true) throw malformed();
  const parts: unknown = parser.parse(text)?.CompleteMultipartUpload?.Part;
  if (!Array.isArray(parts)) throw malformed();
  return parts.map((part) => {
    const partNumber = Number(part?.PartNumber);
    if (!Number.isInteger(partNumber) || typeof part?.ETag !== "string") throw malformed();
    return { partNumber, etag: part.ETag.replaceAll("&quot;", '"') };
  });
}

function malformed(): S3Error {
  return new S3Error(400, "MalformedXML");
}
