/** Packs that are wrong in one way each, and what is said of them. */
import { deflateSync } from "node:zlib";
import { encodeEntrySize } from "../../lib/git/pack/pack-format.ts";
import {
  appendingDelta,
  copyInstruction,
  deltaOf,
  insertInstructions,
  objectIdOf,
  PackBuilder,
  treeBytes,
  withTrailer,
} from "./pack-builder.ts";

export interface HostilePack {
  readonly name: string;
  readonly pack: Uint8Array;
  readonly message: RegExp;
}

const BASE = "a base, long enough to be copied from\n";
const BASE_ID = objectIdOf("blob", BASE);
const SAME = deltaOf(BASE.length, BASE.length, copyInstruction(0, BASE.length));

/** A pack that begins with a sound blob. */
function packWith(add: (builder: PackBuilder, baseOffsetBytes: number) => void): Uint8Array {
  const builder = new PackBuilder();
  add(builder, builder.whole("blob", BASE));
  return builder.bytes();
}

/** The same delta where its base was just seen, and where it waits for it: different code looks at the two. */
function badDelta(name: string, delta: Uint8Array, message: RegExp): HostilePack[] {
  const waiting = new PackBuilder();
  waiting.refDelta(BASE_ID, delta);
  waiting.whole("blob", BASE);
  return [
    { name: `${name}, after its base`, pack: packWith((b, base) => b.ofsDelta(base, delta)), message },
    { name: `${name}, before its base`, pack: waiting.bytes(), message },
  ];
}

function badObject(
  name: string,
  type: "commit" | "tree" | "tag",
  content: Uint8Array | string,
  message: RegExp,
): HostilePack[] {
  const bytes = Buffer.from(content);
  const asDelta = new PackBuilder();
  asDelta.refDelta(objectIdOf(type, SOUND[type]), deltaFrom(SOUND[type], bytes));
  asDelta.whole(type, SOUND[type]);
  return [
    { name, pack: packWith((b) => b.whole(type, bytes)), message },
    { name: `${name}, as a delta`, pack: asDelta.bytes(), message },
  ];
}

const ID = objectIdOf("blob", "any");
const SOUND = {
  commit: `tree ${ID}\n\n`,
  tree: treeBytes([{ mode: "100644", name: "a", id: ID }]),
  tag: `object ${ID}\ntype blob\n\n`,
};
const deltaFrom = (base: Uint8Array | string, result: Uint8Array): Uint8Array =>
  deltaOf(Buffer.from(base).length, result.length, insertInstructions(result));

function brokenPacks(): HostilePack[] {
  const sound = packWith(() => {});
  const { length } = sound;
  const withGarbage = Buffer.concat([sound.subarray(0, -20), Buffer.alloc(9, 0x42), sound.subarray(-20)]);
  const counted = (objectCount: number): Uint8Array => {
    const builder = new PackBuilder();
    builder.whole("blob", BASE);
    return builder.bytes({ objectCount });
  };
  return [
    { name: "nothing", pack: new Uint8Array(), message: /ends inside its header/ },
    { name: "PACK", pack: Buffer.from("PACK"), message: /ends inside its header/ },
    {
      name: "a header alone",
      pack: new PackBuilder().bytes().subarray(0, 12),
      message: /before its trailer/,
    },
    {
      name: "half a trailer",
      pack: new PackBuilder().bytes().subarray(0, 22),
      message: /before its trailer/,
    },
    { name: "an error page", pack: Buffer.from("<html>".repeat(20)), message: /signature/ },
    { name: "version 4", pack: new PackBuilder().bytes({ version: 4 }), message: /version/ },
    {
      name: "a wrong trailer",
      pack: sound.with(length - 1, (sound[length - 1] ?? 0) ^ 1),
      message: /trailer/,
    },
    { name: "a count of 4,294,967,295", pack: counted(2 ** 32 - 1), message: /more than \d+ objects/ },
    { name: "one object less than counted", pack: counted(2), message: /another number of objects/ },
    {
      name: "no object of the one counted",
      pack: new PackBuilder().bytes({ objectCount: 1 }),
      message: /another/,
    },
    { name: "one object more than counted", pack: counted(0), message: /another number of objects/ },
    {
      name: "garbage after the last entry",
      pack: withTrailer(withGarbage),
      message: /inflate|inside|size|type/,
    },
  ];
}

function brokenEntries(): HostilePack[] {
  const entry = (name: string, bytes: Uint8Array, message: RegExp): HostilePack => ({
    name,
    pack: packWith((builder) => builder.raw(bytes)),
    message,
  });
  const stream = deflateSync(BASE);
  const blobOf = (declaredBytes: number, zlib: Uint8Array): Uint8Array =>
    Buffer.concat([encodeEntrySize(3, declaredBytes), zlib]);
  const needsDictionary = deflateSync(BASE, { dictionary: Buffer.from(BASE) });
  const tenGigabytes = packWith((b) => b.whole("blob", "", { declaredBytes: 10 * 2 ** 30 }));
  return [
    entry("type 0", Buffer.from([0x05, ...stream]), /unknown object type/),
    entry("type 5", Buffer.from([0x55, ...stream]), /unknown object type/),
    entry("a size of 11 bytes", Buffer.from([0xbf, ...Array(9).fill(0xff), 1, ...stream]), /size is above/),
    entry("a size that is too small", blobOf(BASE.length - 1, stream), /past its declared size/),
    entry("a size that is too large", blobOf(BASE.length + 1, stream), /less than its declared size/),
    entry("a size of 0", blobOf(0, stream), /past its declared size/),
    entry("no zlib stream", blobOf(BASE.length, Buffer.alloc(60, 0xee)), /does not inflate/),
    entry("a wrong Adler-32", blobOf(BASE.length, stream.with(-1, 0x5a)), /does not inflate/),
    entry("an unknown dictionary", blobOf(BASE.length, needsDictionary), /does not inflate/),
    entry(
      "a cut off zlib stream",
      blobOf(BASE.length, stream.subarray(0, 9)),
      /ends inside an entry|inflate/,
    ),
    { name: "10 GiB declared", pack: tenGigabytes, message: /object of more than \d+ bytes/ },
  ];
}

function brokenBases(): HostilePack[] {
  const twoInACircle = new PackBuilder();
  const [one, two] = [objectIdOf("blob", `${BASE}1`), objectIdOf("blob", `${BASE}2`)];
  twoInACircle.refDelta(two, appendingDelta(BASE.length + 1, "x"));
  twoInACircle.refDelta(one, appendingDelta(BASE.length + 1, "x"));
  const ownBase = new PackBuilder();
  ownBase.refDelta(BASE_ID, SAME);
  const belowNothing = new PackBuilder();
  belowNothing.ofsDelta(belowNothing.refDelta(BASE_ID, SAME), SAME);
  const none = /base is nowhere/;
  const zero = Buffer.concat([Buffer.from([0x60 | SAME.length, 0x00]), deflateSync(SAME)]);
  return [
    { name: "a delta at distance 0", pack: packWith((b) => b.raw(zero)), message: /its own base/ },
    {
      name: "a base before the pack",
      pack: packWith((b) => b.ofsDelta(-5, SAME)),
      message: /before the pack/,
    },
    { name: "a base in the header", pack: packWith((b) => b.ofsDelta(8, SAME)), message: /before the pack/ },
    {
      name: "a base inside an entry",
      pack: packWith((b, base) => b.ofsDelta(base + 3, SAME)),
      message: /no entry begins/,
    },
    { name: "a delta to nowhere", pack: packWith((b) => b.refDelta(ID, SAME)), message: none },
    { name: "deltas in a circle", pack: twoInACircle.bytes(), message: none },
    { name: "a delta of the object it makes", pack: ownBase.bytes(), message: none },
    { name: "a delta below a delta to nowhere", pack: belowNothing.bytes(), message: none },
  ];
}

/** Every kind of wrong content, sound as zlib and in its trailer. */
export function hostilePacks(): HostilePack[] {
  const size = BASE.length;
  return [
    ...brokenPacks(),
    ...brokenEntries(),
    ...brokenBases(),
    ...badDelta("a copy past the base", deltaOf(size, 9, copyInstruction(size - 5, 9)), /past the end/),
    ...badDelta("a copy from 4 GiB on", deltaOf(size, 9, copyInstruction(0xffff_ffff, 9)), /past the end/),
    ...badDelta("a reserved instruction", deltaOf(size, 1, Uint8Array.of(0)), /reserved/),
    ...badDelta("a cut off instruction", deltaOf(size, 9, Uint8Array.of(9, 65)), /inside an instruction/),
    ...badDelta(
      "a cut off copy",
      deltaOf(size, 9, Uint8Array.of(0xff, 0)),
      /inside an instruction|past the end/,
    ),
    ...badDelta("a delta of nothing", new Uint8Array(), /inside its sizes/),
    ...badDelta("a base of another size", deltaOf(size + 1, 1, copyInstruction(0, 1)), /another size/),
    ...badDelta("a result that is too small", deltaOf(size, 2, copyInstruction(0, 1)), /less than/),
    ...badDelta("a result that is too large", deltaOf(size, 1, copyInstruction(0, 2)), /more than/),
    ...badDelta(
      "a result of 2^48 bytes",
      deltaOf(size, 2 ** 48, copyInstruction(0, 1)),
      /more than \d+ bytes/,
    ),
    ...badObject("a tree that ends inside an entry", "tree", SOUND.tree.subarray(0, 20), /broken entry/),
    ...badObject("a tree that is no tree", "tree", "0".repeat(50), /broken entry/),
    ...badObject("a commit without a tree", "commit", "author A <a@x> 0 +0000\n", /names no tree/),
    ...badObject("a commit that ends in an id", "commit", `tree ${ID.slice(1)}`, /cut off/),
    ...badObject("a commit of odd digits", "commit", `tree ${"g".repeat(40)}\n`, /not a hex digit/),
    ...badObject("a tag of nothing", "tag", "tag v1\n", /names no object/),
    ...badObject("a tag of no type", "tag", `object ${ID}\n`, /names no type/),
    ...badObject("a tag of another type", "tag", `object ${ID}\ntype constructor\n`, /unknown type/),
    ...badObject("a tag cut off in its type", "tag", `object ${ID}\ntype blob`, /unknown type/),
  ];
}
