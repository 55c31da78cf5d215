/** When refs were listed last: of a hundred pushes in a row, most jobs then find that their push is here already. */
import type { RepositoryUuid } from "../repo/layout.ts";

const MAX_CHECKS = 10_000;

export class RecentChecks {
  /** Since the epoch, in the order of noting. */
  readonly #listedAtMs = new Map<RepositoryUuid, number>();

  note(uuid: RepositoryUuid, listedAtMs: number): void {
    this.#listedAtMs.delete(uuid);
    this.#listedAtMs.set(uuid, listedAtMs);
    for (const oldest of this.#listedAtMs.keys()) {
      if (this.#listedAtMs.size <= MAX_CHECKS) return;
      this.#listedAtMs.delete(oldest);
    }
  }

  listedAtMs(uuid: RepositoryUuid): number {
    return this.#listedAtMs.get(uuid) ?? 0;
  }
}
