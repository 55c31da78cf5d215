/** Links and file names in the documents lead somewhere. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const documents = [...globSync("*.md"), ...globSync("docs/*.md")];

test.each(documents)("links in %s", (document) => {
  const broken = links(read(document)).filter((link) => !leadsSomewhere(document, link));
  expect(broken).toEqual([]);
});

test.each(documents)("source files that %s names", (document) => {
  const names = [...read(document).matchAll(/`((?:lib|functions|infra|test)\/[\w./-]+\.(?:ts|sh))`/g)];
  const missing = names.map(([, name = ""]) => name).filter((name) => !existsSync(name));
  expect(missing).toEqual([]);
});

function read(document: string): string {
  return readFileSync(document, "utf8").replaceAll(/^```[\s\S]*?^```$/gm, "");
}

function links(text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
}

function leadsSomewhere(document: string, link: string): boolean {
  if (/^https?:/.test(link)) return true;
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? document : join(dirname(document), path);
  if (!existsSync(target)) return false;
  return anchor === undefined || anchors(read(target)).includes(anchor);
}

/** As GitHub makes them of headings. */
function anchors(text: string): string[] {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\- ]/gu, "")
      .replaceAll(" ", "-"),
  );
}
