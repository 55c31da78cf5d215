/**
 * @param contentType - A `Content-Type` header.
 * @returns The type to compare, as git does it: in lower case, without parameters and white space. Source: git's http.c,
 *   `extract_content_type`.
 */
export function mediaType(contentType: string | null | undefined): string | undefined {
  return contentType?.split(";", 1)[0]?.replace(/\s/g, "").toLowerCase();
}
