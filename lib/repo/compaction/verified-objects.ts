/** Objects whose content is held against their id before it is used: damage must not spread into a new pack. */
import { createHash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";
import { objectIdAt } from "../../git/object-id.ts";
import type { PackedObjects } from "../../git/ports.ts";

/** @returns The same objects; `read` throws a CorruptPackError for one that is not what its id says. */
export function verifiedObjects(objects: PackedObjects): PackedObjects {
  return {
    packs: objects.packs,
    objectCount: objects.objectCount,
    history: objects.history,
    find: (idBytes, start) => objects.find(idBytes, start),
    findId: (id) => objects.findId(id),
    objectId: (objectNumber) => objects.objectId(objectNumber),
    readType: (objectNumber) => objects.readType(objectNumber),
    readSize: (objectNumber) => objects.readSize(objectNumber),
    readAhead: (objectNumbers) => objects.readAhead(objectNumbers),
    read: async (objectNumber) => {
      const object = await objects.read(objectNumber);
      const { type, bytes } = object;
      const digest = createHash("sha1").update(`${type} ${bytes.length}\0`).update(bytes).digest();
      const id = objects.objectId(objectNumber);
      if (objectIdAt(digest, 0) !== id)
        throw new CorruptPackError("object is not what its id says", { id, type });
      return object;
    },
  };
}
