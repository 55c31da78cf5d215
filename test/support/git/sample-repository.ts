/** Builds a repository with one of everything that git can hold, through git-fast-import(1). Same ids each time. */
import { mkdir } from "node:fs/promises";
import { gitBytes } from "./run-git.ts";

export interface SampleOptions {
  /** Ordinary commits on main, besides the special ones. */
  readonly commitCount?: number;
}

const FIRST_COMMIT_TIME_S = 1_700_000_000;
const DEEP_FOLDER = Array.from({ length: 40 }, (_, level) => `level-${level}`).join("/");
const GITLINK_COMMIT_ID = "5ca1ab1e".repeat(5);

/**
 * Makes the bare repository `folder`: branches main, develop, feature/nested/name, pages (another root), empty-tree and
 * octopus; merges; annotated, lightweight and nested tags; a binary file, symlink, submodule, executable, deep folder and
 * a file name that is not UTF-8.
 */
export async function makeSampleRepository(folder: string, options: SampleOptions = {}): Promise<void> {
  await mkdir(folder, { recursive: true });
  await gitBytes(["init", "--quiet", "--bare", "--initial-branch=main", folder]);
  const input = sampleStream(options.commitCount ?? 25);
  await gitBytes(["fast-import", "--quiet", "--date-format=raw"], { cwd: folder, input });
}

class FastImportStream {
  readonly #chunks: Uint8Array[] = [];
  #timeS = FIRST_COMMIT_TIME_S;
  #lastMark = 0;

  /** `changes` are file commands, made with {@link file} and its like. @returns The commit's mark. */
  commit(ref: string, message: string, parents: readonly string[], changes: readonly Uint8Array[]): string {
    this.#timeS += 60;
    this.#lastMark += 1;
    const [from, ...merged] = parents;
    this.#write(`commit ${ref}\nmark :${this.#lastMark}\n`);
    this.#write(`author Ada Author <ada@example.com> ${this.#timeS} +0100\n`);
    this.#write(`committer Carl Committer <carl@example.com> ${this.#timeS + 5} +0000\n`);
    this.#chunks.push(data(message));
    if (from !== undefined) this.#write(`from ${from}\n`);
    for (const parent of merged) this.#write(`merge ${parent}\n`);
    this.#chunks.push(...changes);
    this.#write("\n");
    return `:${this.#lastMark}`;
  }

  annotatedTag(name: string, target: string, message: string): string {
    this.#timeS += 60;
    this.#lastMark += 1;
    this.#write(`tag ${name}\nmark :${this.#lastMark}\nfrom ${target}\n`);
    this.#write(`tagger Tess Tagger <tess@example.com> ${this.#timeS} -0730\n`);
    this.#chunks.push(data(message));
    return `:${this.#lastMark}`;
  }

  pointRef(ref: string, target: string): void {
    this.#write(`reset ${ref}\nfrom ${target}\n\n`);
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  #write(text: string): void {
    this.#chunks.push(Buffer.from(text, "utf8"));
  }
}

function data(content: Uint8Array | string): Uint8Array {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from("\n")]);
}

/** @param path - As fast-import reads it: plain, or quoted with octal escapes. */
function file(path: string, content: Uint8Array | string, mode = "100644"): Uint8Array {
  return Buffer.concat([Buffer.from(`M ${mode} inline ${path}\n`), data(content)]);
}

/** Bytes that neither compress nor repeat, the same each time. */
function noise(lengthBytes: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: lengthBytes }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

/** Long enough to be stored as deltas, each a little different. */
function chapter(version: number): string {
  const lines = Array.from(
    { length: 120 },
    (_, line) => `line ${line}, last changed in ${version % (line + 1)}`,
  );
  return `${lines.join("\n")}\n`;
}

function sampleStream(commitCount: number): Uint8Array {
  const stream = new FastImportStream();
  const root = stream.commit("refs/heads/main", "Begin\n", [], [file("README.md", "# Sample\n")]);
  const special = stream.commit("refs/heads/main", "One of everything\n", [root], specialFiles());
  let tip = special;
  for (let version = 1; version <= commitCount; version++) {
    const path = `docs/part-${version % 4}/chapter-${version % 7}.txt`;
    const changes = [file(path, chapter(version)), file("CHANGES", `${version}\n`)];
    tip = stream.commit(
      "refs/heads/main",
      `Change ${version}\n\nGrüße, ${"x".repeat(version)}\n`,
      [tip],
      changes,
    );
  }
  const develop = stream.commit("refs/heads/develop", "Develop\n", [special], [file("src/dev.txt", "dev\n")]);
  const merge = stream.commit(
    "refs/heads/main",
    "Merge develop\n",
    [tip, develop],
    [file("src/dev.txt", "dev\n")],
  );
  const nested = stream.commit(
    "refs/heads/feature/nested/name",
    "Feature\n",
    [merge],
    [file("src/feature.txt", "feature\n"), Buffer.from("D docs/part-1\n")],
  );
  const pages = stream.commit("refs/heads/pages", "Another root\n", [], [file("index.html", "<p>Hello\n")]);
  stream.commit("refs/heads/empty-tree", "Nothing left\n", [pages], [Buffer.from("deleteall\n")]);
  stream.commit("refs/heads/octopus", "Octopus\n", [develop, nested, pages], [file("src/arms", "eight\n")]);
  stream.pointRef("refs/tags/light", develop);
  const release = stream.annotatedTag("v1.0", merge, "Version 1.0\n");
  stream.annotatedTag("nested-tag", release, "A tag of a tag\n");
  stream.annotatedTag("on-old-commit", special, "Tagged late\n");
  return stream.bytes();
}

function specialFiles(): Uint8Array[] {
  return [
    file("bin/run.sh", "#!/bin/sh\nexit 0\n", "100755"),
    file("current", "README.md", "120000"),
    file("image.bin", noise(70_000, 7)),
    file("empty", ""),
    file('"caf\\351.txt"', "latin-1 name\n"),
    file("grüße.txt", "UTF-8 name\n"),
    file(`${DEEP_FOLDER}/bottom.txt`, "deep\n"),
    file(".gitmodules", '[submodule "library"]\n\tpath = vendor/library\n\turl = ../library.git\n'),
    Buffer.from(`M 160000 ${GITLINK_COMMIT_ID} vendor/library\n`),
  ];
}
