/** Which repositories a mirror was told to mirror. */
import type { BitbucketRepository, BitbucketRestApi } from "../bitbucket/rest-api.ts";
import { UpstreamError } from "../errors.ts";

export interface Selection {
  readonly workspace: readonly string[];
  /** `workspace/KEY`. */
  readonly project: readonly string[];
  /** `workspace/slug`. */
  readonly repository: readonly string[];
}

/** What a sync needs to know of a repository. Who may read it is known only where the primary was asked. */
export type SelectedRepository = Pick<BitbucketRepository, "uuid" | "workspace" | "slug" | "fullName"> &
  Partial<Pick<BitbucketRepository, "projectKey" | "isPrivate">>;

export type Selected =
  | { readonly kind: "repository"; readonly repository: SelectedRepository }
  /** `name` is as in the selection. */
  | { readonly kind: "failed"; readonly name: string; readonly error: unknown };

interface Selector {
  readonly name: string;
  /** Asks the primary. */
  readonly find: () => AsyncIterable<SelectedRepository>;
  /** Answers without the primary, when it has not been found in this process. */
  readonly recall: () => Promise<SelectedRepository | undefined>;
}

export interface RepositorySelectorOptions {
  readonly api: BitbucketRestApi;
  readonly selection: Selection;
  /** The uuid under which an earlier run has mirrored it. */
  readonly mirroredUuid: (workspace: string, slug: string) => Promise<string | undefined>;
}

export class RepositorySelector {
  readonly #selectors: readonly Selector[];
  /** What each selector, by its name, has found last. */
  readonly #lastFound = new Map<string, readonly SelectedRepository[]>();

  constructor({ api, selection, mirroredUuid }: RepositorySelectorOptions) {
    const { workspace, project, repository } = selection;
    this.#selectors = [
      ...repository.map((name) => singleSelector(name, api, mirroredUuid)),
      ...project.map((name): Selector => {
        const [owner = "", projectKey = ""] = name.split("/");
        return { name, find: () => api.repositories(owner, { projectKey }), recall: nothing };
      }),
      ...workspace.map((name): Selector => ({ name, find: () => api.repositories(name), recall: nothing })),
    ];
  }

  /**
   * Asks the primary. A repository that is selected twice comes once. A part of the selection that fails does not end
   * the others; and when that is because REST is down or refuses, git may well answer: then what is known of that part
   * comes after its failure.
   */
  async *select(): AsyncGenerator<Selected, void, undefined> {
    const seen = new Set<string>();
    for (const selector of this.#selectors) {
      for await (const selected of this.#selectBy(selector)) {
        if (selected.kind === "repository") {
          if (seen.has(selected.repository.uuid)) continue;
          seen.add(selected.repository.uuid);
        }
        yield selected;
      }
    }
  }

  async *#selectBy({ name, find, recall }: Selector): AsyncGenerator<Selected, void, undefined> {
    const found: SelectedRepository[] = [];
    let failure: Selected;
    try {
      for await (const repository of find()) {
        found.push(repository);
        yield { kind: "repository", repository };
      }
      this.#lastFound.set(name, found);
      return;
    } catch (error) {
      failure = { kind: "failed", name, error };
    }
    yield failure;
    if (!(failure.error instanceof UpstreamError)) return;
    const recalled = this.#lastFound.has(name) ? undefined : await recall();
    const known = this.#lastFound.get(name) ?? (recalled === undefined ? [] : [recalled]);
    for (const repository of known) yield { kind: "repository", repository };
  }
}

function singleSelector(
  name: string,
  api: BitbucketRestApi,
  mirroredUuid: RepositorySelectorOptions["mirroredUuid"],
): Selector {
  const [workspace = "", slug = ""] = name.split("/");
  return {
    name,
    find: async function* () {
      yield await api.repository(workspace, slug);
    },
    recall: async () => {
      const uuid = await mirroredUuid(workspace, slug);
      return uuid === undefined ? undefined : { uuid, workspace, slug, fullName: `${workspace}/${slug}` };
    },
  };
}

async function nothing(): Promise<undefined> {}
