/** Answers `bundle-uri`. Source: gitprotocol-v2(5), "bundle-uri"; bundle-uri.txt in git's technical documentation. */
import { encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { OfferedBundle, UploadPackSource } from "../ports.ts";

export async function listBundles(source: UploadPackSource): Promise<Uint8Array[]> {
  const bundles = await source.offerBundles();
  return [...bundleLines(bundles).map((line) => encodePktLine(line)), FLUSH_PKT];
}

/** Nothing where there is no bundle: a list without any is one that git warns of. */
function bundleLines(bundles: readonly OfferedBundle[]): string[] {
  if (bundles.length === 0) return [];
  return [
    "bundle.version=1",
    "bundle.mode=all",
    "bundle.heuristic=creationToken",
    ...bundles.flatMap(({ id, url, creationToken }) => [
      `bundle.${id}.uri=${url}`,
      // In lower case, as git's own server sends the names of its settings; git does not know another spelling.
      `bundle.${id}.creationtoken=${creationToken}`,
    ]),
  ];
}
