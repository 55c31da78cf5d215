import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CorruptPackError } from "../../../lib/errors.ts";
import { parseCommit, parseTag, TreeCursor } from "../../../lib/git/objects.ts";
import { utf8 } from "../../support/byte-chunks.ts";

const A = "a".repeat(40);
const B = "b".repeat(40);
const C = "c".repeat(40);
const PEOPLE = "author A <a@x> 1 +0000\ncommitter C > <c@x> 1700000000 -0530\n";

describe("commits", () => {
  test.each([
    [`tree ${A}\n${PEOPLE}\nMessage\n`, []],
    [`tree ${A}\nparent ${B}\n${PEOPLE}\nparent ${C}\n`, [B]],
    [`tree ${A}\nparent ${B}\nparent ${C}\n${PEOPLE}gpgsig x\n y\n\nMessage`, [B, C]],
  ])("%j", (text, parentIds) => {
    expect(parseCommit(utf8(text))).toEqual({ treeId: A, parentIds, committedAtSeconds: 1_700_000_000 });
  });

  test("an unreadable time counts as none", () => {
    expect(parseCommit(utf8(`tree ${A}\nauthor x\ncommitter y\n\n`)).committedAtSeconds).toBe(0);
    expect(parseCommit(utf8(`tree ${A}\n`)).committedAtSeconds).toBe(0);
  });

  // Each is what git 2.55 says with `git log --format=%ct`, or by --since where that format refuses the line.
  test.each([
    ["committer A <a@x>1700000100 +0000", 1_700_000_100],
    ["committer A <a@x> 1700000100", 1_700_000_100],
    ["committer A <a@x> 1700000100 UTC", 1_700_000_100],
    ["committer A <a@x> 1700000100 +051800", 1_700_000_100],
    ["committer A <a@x> 1700000100 +02:00", 1_700_000_100],
    ["committer A <a@x> 1700000100 ", 1_700_000_100],
    ["committer A <a@x> 1700000100.25 +0000", 1_700_000_100],
    ["committer A <a@x> 1700000100 +0000\r", 1_700_000_100],
    ["committer A <a@x>  1700000100 +0000", 1_700_000_100],
    ["committer A <a@x>\t1700000100 +0000", 1_700_000_100],
    ["committer A <a@<x>> 1700000100 +0000", 1_700_000_100],
    ["committer A <a@x> 1700000100 +0000 +0000", 1_700_000_100],
    ["committer A <a@x> 0001700000100 +0000", 1_700_000_100],
    ["committer A <a@x> 00000000001700000100 +0000", 1_700_000_100],
    ["committer A <a@x> 1700000100+0100", 1_700_000_100],
    ["committer A <a@x> -1 +0000", 2 ** 64],
    ["committer A <a@x> -0 +0000", 0],
    ["committer A <a@x> 18446744073709551616 +0000", 2 ** 64],
    ["committer A <a@x> +1700000100 +0000", 0],
    ["committer A 1700000100 +0000", 0],
    ["committer A <a@x> UTC", 0],
    ["committer A <a@x> 1700000100 +0000>", 0],
    ["author B <b@x> 5 +0000\ncommitter A <a@x> 1700000100 +0000", 0],
  ])("%j is from second %d", (line, seconds) => {
    const text = `tree ${A}\nauthor A <a@x> 7 +0000\n${line}\n\nMessage\n`;
    expect(parseCommit(utf8(text)).committedAtSeconds).toBe(seconds);
  });

  test("a date without an author before it, or without a line feed, counts as none", () => {
    const committer = "committer A <a@x> 1700000100 +0000";
    expect(parseCommit(utf8(`tree ${A}\n${committer}\n`)).committedAtSeconds).toBe(0);
    expect(parseCommit(utf8(`tree ${A}\nauthor A <a@x> 7 +0000\n${committer}`)).committedAtSeconds).toBe(0);
  });

  test("a line of digits and brackets is read in one pass", () => {
    const line = `committer >${"9".repeat(200_000)}>${"9".repeat(200_000)} x`;
    expect(parseCommit(utf8(`tree ${A}\nauthor x\n${line}\n`)).committedAtSeconds).toBe(2 ** 64);
  });

  test.each(["", "tree", `parent ${A}\n`, `tree ${A.slice(1)}\n`, `tree ${A}`, `tree ${A}\nparent ${B}x\n`])(
    "%j is refused",
    (text) => {
      expect(() => parseCommit(utf8(text))).toThrow(CorruptPackError);
    },
  );
});

describe("tags", () => {
  test("name their target", () => {
    expect(parseTag(utf8(`object ${A}\ntype tree\ntag x\n\n`))).toEqual({ targetId: A, targetType: "tree" });
  });

  test.each(["", `object ${A}\n`, `object ${A}\ntype toString\n`, `object ${A}\ntype commit`])(
    "%j is refused",
    (text) => {
      expect(() => parseTag(utf8(text))).toThrow(CorruptPackError);
    },
  );
});

const entry = (mode: string, name: string, fill = 1) =>
  Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.alloc(20, fill)]);

describe("trees", () => {
  test("entries come one after the other with their kind", () => {
    const entries = [entry("100644", "a"), entry("40000", "b"), entry("160000", "c"), entry("120000", "d")];
    const cursor = new TreeCursor(Buffer.concat(entries));
    const seen: unknown[] = [];
    for (; !cursor.isAtEnd; cursor.next()) {
      const name = Buffer.from(cursor.bytes).toString("latin1", cursor.nameStart, cursor.nameEnd);
      seen.push([name, cursor.isTree, cursor.isGitlink]);
    }
    expect(seen).toEqual([
      ["a", false, false],
      ["b", true, false],
      ["c", false, true],
      ["d", false, false],
    ]);
  });

  test("names compare in git's order, folders as if they ended in a slash", () => {
    const name = fc.string({
      unit: fc.constantFrom("a", "b", "-", ".", "/x", "0", "é"),
      minLength: 1,
      maxLength: 4,
    });
    const anyEntry = fc.record({ name: name.map((text) => text.replaceAll("/", "")), isTree: fc.boolean() });
    fc.assert(
      fc.property(anyEntry, anyEntry, (left, right) => {
        fc.pre(left.name !== "" && right.name !== "");
        const cursor = (item: typeof left) =>
          new TreeCursor(entry(item.isTree ? "40000" : "100644", item.name));
        const key = (item: typeof left) => Buffer.from(item.isTree ? `${item.name}/` : item.name);
        const order = cursor(left).compareName(cursor(right));
        expect(Math.sign(order)).toBe(Buffer.compare(key(left), key(right)));
      }),
    );
  });

  test("cut off anywhere inside an entry, a tree is refused", () => {
    const whole = Buffer.concat([entry("100644", "a"), entry("40000", "b")]);
    const readAll = (bytes: Uint8Array) => {
      for (const cursor = new TreeCursor(bytes); !cursor.isAtEnd; ) cursor.next();
    };
    for (let lengthBytes = 0; lengthBytes <= whole.length; lengthBytes++) {
      const cut = whole.subarray(0, lengthBytes);
      if ([0, entry("100644", "a").length, whole.length].includes(lengthBytes)) readAll(cut);
      else expect(() => readAll(cut)).toThrow(CorruptPackError);
    }
  });
});
