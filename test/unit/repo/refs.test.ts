import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CorruptPackError, ProtocolError } from "../../../lib/errors.ts";
import { type ObjectId, parseObjectId } from "../../../lib/git/object-id.ts";
import { encodePktLine } from "../../../lib/git/pktline.ts";
import type { Ref, RefLineForm } from "../../../lib/git/ports.ts";
import { formatRefSnapshot, openRefSnapshot } from "../../../lib/repo/refs.ts";
import { textOf, utf8 } from "../../support/byte-chunks.ts";

const id = fc
  .string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 40, maxLength: 40 })
  .map(parseObjectId);
const name = fc
  .string({
    unit: fc.constantFrom("a", "B", "-", "\u00e9", "\u00a0", "\u0080", "\u00ff"),
    minLength: 1,
    maxLength: 6,
  })
  .map((text) => `refs/heads/${text}`);
const ref: fc.Arbitrary<Ref> = fc.oneof(fc.record({ name, id }), fc.record({ name, id, peeledId: id }));
const refs = fc.uniqueArray(ref, { selector: (item) => item.name });

/** What the pkt-lines of a list would be, one by one. */
function linesOf(
  list: readonly Ref[],
  form: RefLineForm,
  targets: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const texts = list.flatMap(({ id, name, peeledId }) => {
    const target = targets.get(name);
    const symref = target === undefined ? "" : ` symref-target:${target}`;
    if (peeledId === undefined || form === "listed") return [`${id} ${name}${symref}`];
    return form === "listed-peeled"
      ? [`${id} ${name}${symref} peeled:${peeledId}`]
      : [`${id} ${name}`, `${peeledId} ${name}^{}`];
  });
  return Buffer.concat(texts.map((text) => encodePktLine(`${text}\n`)));
}

describe("a ref snapshot", () => {
  test("gives back what went in, in the order of bytes", () => {
    fc.assert(
      fc.property(refs, (list) => {
        const { bytes, sha256, refCount } = formatRefSnapshot(list);
        const sorted = list.toSorted((a, b) =>
          Buffer.compare(Buffer.from(a.name, "latin1"), Buffer.from(b.name, "latin1")),
        );
        expect([...openRefSnapshot(bytes, sha256).startingWith("")]).toEqual(sorted);
        expect(refCount).toBe(list.length);
      }),
    );
  });

  test("gives the pkt-lines of the refs that begin with a prefix", () => {
    const form = fc.constantFrom<RefLineForm>("listed", "listed-peeled", "advertised");
    const prefix = fc.oneof(name, fc.constantFrom("", "refs/", "refs/heads/", "refs/tags/", "\u00ff"));
    fc.assert(
      fc.property(refs, prefix, form, (list, start, asForm) => {
        const { bytes, sha256 } = formatRefSnapshot(list);
        const table = openRefSnapshot(bytes, sha256);
        const expected = linesOf([...table.startingWith(start)], asForm);
        expect(Buffer.concat([...table.lines(start, asForm)])).toEqual(expected);
      }),
    );
  });

  test("gives the targets of symbolic refs in their lines, of those that are there", () => {
    const form = fc.constantFrom<RefLineForm>("listed", "listed-peeled");
    const prefix = fc.oneof(name, fc.constantFrom("", "refs/", "refs/heads/", "refs/tags/"));
    const targets = fc.dictionary(name, name);
    fc.assert(
      fc.property(refs, prefix, form, targets, fc.boolean(), (list, start, asForm, others, takesListed) => {
        const { bytes, sha256 } = formatRefSnapshot(list);
        const table = openRefSnapshot(bytes, sha256);
        const listed = takesListed ? list.map((one) => [one.name, "refs/heads/x"] as const) : [];
        const byName = new Map([...Object.entries(others), ...listed]);
        const symrefs = [...byName].map(([from, target]) => ({ name: from, target }));
        const sorted = symrefs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
        const expected = linesOf([...table.startingWith(start)], asForm, byName);
        expect(Buffer.concat([...table.lines(start, asForm, sorted)])).toEqual(expected);
      }),
    );
  });

  test("gives them in chunks of a limited size, whole lines in each", () => {
    const many = Array.from({ length: 5000 }, (_, i): Ref => {
      const [valueId, peeledId] = ["a", "b"].map((digit) => parseObjectId(digit.repeat(40))) as [
        ObjectId,
        ObjectId,
      ];
      return { name: `refs/tags/${"x".repeat(i % 300)}${i}`, id: valueId, ...(i % 2 === 0 && { peeledId }) };
    });
    many.push({ name: `refs/tags/${"y".repeat(65_000)}`, id: parseObjectId("c".repeat(40)) });
    const { bytes, sha256 } = formatRefSnapshot(many);
    const table = openRefSnapshot(bytes, sha256);
    const chunks = [...table.lines("", "listed-peeled")];
    const whole = linesOf([...table.startingWith("")], "listed-peeled");
    expect(Buffer.compare(Buffer.concat(chunks), whole)).toBe(0);
    expect(chunks.length).toBeGreaterThan(10);
    for (const chunk of chunks) {
      expect(chunk.length).toBeLessThan(132_000);
      let at = 0;
      for (; at < chunk.length; ) at += Number.parseInt(textOf(chunk.subarray(at, at + 4)), 16);
      expect(at).toBe(chunk.length);
    }
  });

  test("says whether all its values are among some ids", () => {
    fc.assert(
      fc.property(refs, fc.array(id), (list, others) => {
        const { bytes, sha256 } = formatRefSnapshot(list);
        const table = openRefSnapshot(bytes, sha256);
        const values = list.map((item) => item.id);
        expect(table.hasOnlyValues(new Set([...values, ...others]))).toBe(true);
        const [first] = values;
        const fewer = new Set(values.filter((value) => value !== first));
        expect(table.hasOnlyValues(fewer)).toBe(first === undefined);
      }),
    );
  });

  test("is packed-refs text", () => {
    const [a, b] = [parseObjectId("a".repeat(40)), parseObjectId("b".repeat(40))];
    const snapshot = formatRefSnapshot([
      { name: "refs/tags/v1", id: b, peeledId: a },
      { name: "refs/heads/main", id: a },
    ]);
    expect(textOf(snapshot.bytes)).toBe(
      `# pack-refs with: peeled fully-peeled sorted \n${a} refs/heads/main\n${b} refs/tags/v1\n^${a}\n`,
    );
  });

  test.each([
    ["twice the same name", ["refs/heads/a", "refs/heads/a"]],
    ["a name that is none", ["refs/heads/a..b"]],
    ["a name with a line feed", ["refs/heads/a\nb"]],
  ])("is not made with %s", (_, names) => {
    const list = names.map((refName) => ({ name: refName, id: parseObjectId("a".repeat(40)) }));
    expect(() => formatRefSnapshot(list)).toThrow(ProtocolError);
  });

  test("with another checksum is refused", () => {
    const { bytes } = formatRefSnapshot([]);
    expect(() => openRefSnapshot(bytes, "0".repeat(64))).toThrow(CorruptPackError);
    const altered = formatRefSnapshot([{ name: "refs/heads/a", id: parseObjectId("a".repeat(40)) }]);
    expect(() =>
      openRefSnapshot(utf8(textOf(altered.bytes).replace("aaaa", "bbbb")), altered.sha256),
    ).toThrow(CorruptPackError);
  });
});

describe("a ref table", () => {
  test("finds each ref by its name, and no other", () => {
    fc.assert(
      fc.property(refs, name, (list, other) => {
        const { bytes, sha256 } = formatRefSnapshot(list);
        const table = openRefSnapshot(bytes, sha256);
        for (const item of list) expect(table.find(item.name)).toEqual(item);
        expect(table.find(other)).toEqual(list.find((item) => item.name === other));
        for (const outside of ["", "refs/", "zzz"]) expect(table.find(outside)).toBeUndefined();
      }),
    );
  });

  test("lists what begins with a prefix", () => {
    fc.assert(
      fc.property(refs, name, fc.nat(20), (list, other, length) => {
        const { bytes, sha256 } = formatRefSnapshot(list);
        const table = openRefSnapshot(bytes, sha256);
        const prefix = other.slice(0, length);
        const found = [...table.startingWith(prefix)].map((item) => item.name);
        expect(found.toSorted()).toEqual(
          list
            .map((item) => item.name)
            .filter((text) => text.startsWith(prefix))
            .toSorted(),
        );
      }),
    );
  });

  test("finds which ids are values of refs, not what tags point to", () => {
    fc.assert(
      fc.property(refs, id, (list, other) => {
        const { bytes, sha256 } = formatRefSnapshot(list);
        const table = openRefSnapshot(bytes, sha256);
        const asked = new Set([other, ...list.flatMap((item) => [item.id, item.peeledId ?? item.id])]);
        const found = [...asked].filter((one) => table.hasValue(one));
        expect(new Set(found)).toEqual(new Set(list.map((item) => item.id)));
      }),
    );
  });

  test.each([
    "x refs/heads/a",
    `${"a".repeat(40)}`,
    `${"a".repeat(40)}-refs/heads/a`,
    "",
    "^",
    `${"a".repeat(40)} refs/heads/a\n^x`,
    `${"a".repeat(40)} refs/heads/a\n^${"x".repeat(40)}`,
    `${"a".repeat(40)} refs/heads/a b`,
    `${"a".repeat(40)} refs/heads/${"a".repeat(65_500)}`,
  ])("refuses the line %j", (line) => {
    const bytes = utf8(`# pack-refs with: peeled fully-peeled sorted \n${line}\n`);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(() => [...openRefSnapshot(bytes, sha256).startingWith("")]).toThrow(CorruptPackError);
  });
});

test("a prefix among many refs is listed without a look at the others", () => {
  const lines = Array.from({ length: 10_000 }, (_, number) => {
    // And the one behind, which shows that there are no more.
    const isAsked = number >= 5_000 && number <= 5_010;
    // What is no id is noticed where a line is read.
    return `${(isAsked ? "a" : "z").repeat(40)} refs/heads/${String(number).padStart(5, "0")}\n`;
  });
  const bytes = utf8(`# pack-refs with: peeled fully-peeled sorted \n${lines.join("")}`);
  const table = openRefSnapshot(bytes, createHash("sha256").update(bytes).digest("hex"));
  expect([...table.startingWith("refs/heads/0500")]).toHaveLength(10);
  expect(table.find("refs/heads/05003")?.name).toBe("refs/heads/05003");
  expect(() => [...table.startingWith("")]).toThrow(CorruptPackError);
});
