/** The lines that say how much of the history a client has and wants; the same in all protocol versions. */
import { ProtocolError } from "../../errors.ts";
import type { ObjectId } from "../object-id.ts";
import type { Deepening, HistoryRequest, RequestLimits } from "./fetch-request.ts";
import { type FilterSpec, parseFilterSpec } from "./filter-spec.ts";
import { RefusedRequestError } from "./refused-request.ts";
import { addIdWithin, addWithin } from "./request-lines.ts";

/** What `git fetch --unshallow` asks for. */
export const INFINITE_DEPTH = 0x7fffffff;

export class HistoryLines {
  readonly #limits: RequestLimits;
  readonly #shallows = new Set<ObjectId>();
  readonly #excluded = new Set<string>();
  #depth: number | undefined;
  #sinceSeconds: number | undefined;
  #filter: FilterSpec | undefined;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
  }

  /** @returns Whether the line is one of these. @throws {ProtocolError} It is, but malformed. */
  take(line: string): boolean {
    const space = line.indexOf(" ");
    const value = line.slice(space + 1);
    switch (line.slice(0, Math.max(space, 0))) {
      case "shallow":
        addIdWithin(this.#limits, "shallow lines", this.#shallows, line, "shallow ");
        return true;
      case "deepen":
        this.#depth = parseNumber(value, line, INFINITE_DEPTH);
        if (this.#depth === 0) throw new RefusedRequestError(`Invalid deepen: ${line}`);
        return true;
      case "deepen-since":
        this.#sinceSeconds = parseNumber(value, line, Number.MAX_SAFE_INTEGER);
        return true;
      case "deepen-not":
        addWithin(this.#limits, "deepen-not lines", this.#excluded, value);
        return true;
      case "filter":
        if (this.#filter !== undefined)
          throw new RefusedRequestError("multiple filter-specs cannot be combined");
        this.#filter = parseFilterSpec(value);
        return true;
      default:
        return false;
    }
  }

  /** @throws {ProtocolError} The lines contradict each other. */
  request(isRelative: boolean): HistoryRequest {
    return { shallows: [...this.#shallows], deepen: this.#deepening(isRelative), filter: this.#filter };
  }

  #deepening(isRelative: boolean): Deepening | undefined {
    const byRevisions = this.#sinceSeconds !== undefined || this.#excluded.size > 0;
    if (this.#depth === undefined) {
      if (!byRevisions) return undefined;
      return { kind: "revisions", sinceSeconds: this.#sinceSeconds ?? 0, excluded: [...this.#excluded] };
    }
    if (byRevisions) {
      throw new RefusedRequestError("deepen and deepen-since (or deepen-not) cannot be used together");
    }
    return { kind: "depth", depth: this.#depth, isRelative };
  }
}

function parseNumber(text: string, line: string, max: number): number {
  if (!/^\d{1,18}$/.test(text)) throw new ProtocolError(`Invalid ${line.slice(0, 80)}`);
  return Math.min(Number(text), max);
}
