/** Shows copies of LFS files: how far those of a repository are, and what they came to when no job of it runs any more. */
import type { LfsProgress } from "../../lib/lfs/run-lfs-job.ts";
import { formatBytes, type ProgressLine } from "./progress-line.ts";

interface Burst {
  jobs: number;
  fullName: string;
  files: number;
  bytes: number;
  readonly startedMs: number;
}

export class CopyBursts {
  readonly #line: ProgressLine;
  /** By the repository's UUID. */
  readonly #bursts = new Map<string, Burst>();

  constructor(line: ProgressLine) {
    this.#line = line;
  }

  /** A job of the repository begins. `end` is called once. */
  begin(uuid: string): { show(fullName: string, progress: LfsProgress): void; end(): void } {
    const burst = this.#bursts.get(uuid) ?? {
      ...{ jobs: 0, fullName: "", files: 0, bytes: 0, startedMs: performance.now() },
    };
    this.#bursts.set(uuid, burst);
    burst.jobs += 1;
    return {
      show: (fullName, { files, bytes }) => {
        burst.fullName = fullName;
        burst.files += files;
        burst.bytes += bytes;
        const bytesPerSecond = rateOf(burst);
        this.#line.showing(`${fullName}, LFS`)({ ...burst, phase: "copying-files", bytesPerSecond });
      },
      end: () => {
        burst.jobs -= 1;
        if (burst.jobs > 0) return;
        this.#bursts.delete(uuid);
        const { fullName, files, bytes } = burst;
        if (files === 0) return;
        const count = files === 1 ? "1 LFS file" : `${files} LFS files`;
        this.#line.print(
          `${fullName}: ${count} copied, ${formatBytes(bytes)}, ${formatBytes(rateOf(burst))}/s`,
        );
      },
    };
  }
}

function rateOf({ bytes, startedMs }: Burst): number {
  return (1000 * bytes) / Math.max(1, performance.now() - startedMs);
}
