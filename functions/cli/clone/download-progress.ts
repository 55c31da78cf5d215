/** What is said on the terminal: messages, and how far a download is. */
import { printableLine } from "../../../lib/printable-line.ts";
import { formatBytes } from "../../local/progress-line.ts";

interface ShownOptions {
  readonly quiet?: true;
  readonly progress?: true;
}

export function say({ quiet }: { readonly quiet?: true }, text: string): void {
  if (!quiet) process.stderr.write(`nearside: ${printableLine(text)}\n`);
}

export class DownloadProgress {
  readonly #isShown: boolean;
  readonly #totalBytes: number;
  #bytes = 0;
  #percent = -1;

  constructor({ quiet, progress }: ShownOptions, totalBytes: number) {
    this.#isShown = !quiet && (progress === true || process.stderr.isTTY);
    this.#totalBytes = totalBytes;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    const percent = Math.min(100, Math.floor((100 * this.#bytes) / this.#totalBytes));
    if (!this.#isShown || percent === this.#percent) return;
    this.#percent = percent;
    process.stderr.write(`\rDownloading packs: ${percent}% of ${formatBytes(this.#totalBytes)}`);
  }

  end(): void {
    if (this.#percent >= 0) process.stderr.write("\n");
  }
}
