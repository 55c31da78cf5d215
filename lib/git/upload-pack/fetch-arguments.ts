/** The arguments of a protocol v2 fetch. Source: gitprotocol-v2(5), "fetch". */
import type { ObjectId } from "../object-id.ts";
import type { FetchRequest, RequestLimits } from "./fetch-request.ts";
import { HistoryLines } from "./history-lines.ts";
import { RefusedRequestError } from "./refused-request.ts";
import { addIdWithin, addWithin, unexpectedLine } from "./request-lines.ts";

/** What a flag's line turns on. */
const FLAG_OF_LINE = {
  "thin-pack": "thinPack",
  "ofs-delta": "ofsDelta",
  "no-progress": "noProgress",
  "include-tag": "includeTag",
  "wait-for-done": "waitForDone",
  "sideband-all": "sidebandAll",
  "deepen-relative": "isRelative",
  done: "isDone",
} as const;

type Flag = (typeof FLAG_OF_LINE)[keyof typeof FLAG_OF_LINE];

export class FetchArguments {
  readonly #limits: RequestLimits;
  readonly #history: HistoryLines;
  readonly #wants = new Set<ObjectId>();
  readonly #wantRefs = new Set<string>();
  readonly #haves = new Set<ObjectId>();
  readonly #takesUriProtocols: boolean;
  #uriProtocols: readonly string[] | undefined;
  readonly #flags = Object.fromEntries(Object.values(FLAG_OF_LINE).map((flag) => [flag, false])) as Record<
    Flag,
    boolean
  >;

  /** @param takesUriProtocols - Whether `packfile-uris` was advertised. */
  constructor(limits: RequestLimits, takesUriProtocols: boolean) {
    this.#limits = limits;
    this.#takesUriProtocols = takesUriProtocols;
    this.#history = new HistoryLines(limits);
  }

  /** @throws {ProtocolError} No such argument, or a malformed one. @throws {LimitExceededError} */
  add(line: string): void {
    const limits = this.#limits;
    if (line.startsWith("want ")) addIdWithin(limits, "wants", this.#wants, line, "want ");
    else if (line.startsWith("want-ref ")) this.#addWantRef(line.slice("want-ref ".length));
    else if (line.startsWith("have ")) addIdWithin(limits, "haves", this.#haves, line, "have ");
    else if (this.#takesUriProtocols && line.startsWith("packfile-uris "))
      this.#addUriProtocols(line.slice("packfile-uris ".length));
    else if (isFlagLine(line)) this.#flags[FLAG_OF_LINE[line]] = true;
    else if (!this.#history.take(line)) throw unexpectedLine(line);
  }

  request(): FetchRequest {
    const { isRelative, ...flags } = this.#flags;
    return {
      wants: [...this.#wants],
      wantRefs: [...this.#wantRefs],
      haves: [...this.#haves],
      uriProtocols: this.#uriProtocols ?? [],
      ...this.#history.request(isRelative),
      ...flags,
    };
  }

  #addUriProtocols(list: string): void {
    if (this.#uriProtocols !== undefined)
      throw new RefusedRequestError("multiple packfile-uris lines forbidden");
    this.#uriProtocols = list.split(",");
  }

  #addWantRef(name: string): void {
    if (this.#wantRefs.has(name)) throw new RefusedRequestError(`duplicate want-ref ${name}`);
    addWithin(this.#limits, "wants", this.#wantRefs, name);
  }
}

function isFlagLine(line: string): line is keyof typeof FLAG_OF_LINE {
  return Object.hasOwn(FLAG_OF_LINE, line);
}
