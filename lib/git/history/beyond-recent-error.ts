/** The recent objects do not suffice for an answer: it is made from all objects. Never leaves the engine. */
export class BeyondRecentError extends Error {
  override readonly name = "BeyondRecentError";
}
