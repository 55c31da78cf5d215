/** What people do to repositories and projects on Bitbucket, besides pushing; each with its event. */
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { git } from "../git/run-git.ts";
import type { Accounts } from "./accounts.ts";
import { type CataloguedRepository, findRepository, listRepositories } from "./catalogue.ts";
import type { Fake } from "./exchange.ts";
import { type Json, projectShape, repositoryShape, userShape } from "./shapes.ts";

type RepositorySettings = Accounts["repositories"][string];

export interface RepositoryPlace {
  readonly workspace: string;
  readonly slug: string;
}

export class Lifecycle {
  readonly #fake: Fake;

  constructor(fake: Fake) {
    this.#fake = fake;
  }

  /** @param make - Makes the bare repository; an empty one by default. */
  async create(
    place: RepositoryPlace,
    settings: { readonly project?: string; readonly public?: boolean } = {},
    make: (folder: string) => Promise<unknown> = makeEmpty,
    event: "repo:created" | "repo:imported" = "repo:created",
  ): Promise<void> {
    const folder = this.#folder(place);
    await mkdir(dirname(folder), { recursive: true });
    await make(folder);
    // Its own: another one may have had the name before.
    this.#set(place, { ...settings, uuid: randomUUID() });
    await this.#announce(event, place);
  }

  /** Sends a push event, by default without its changes, as Bitbucket sometimes does. */
  async pushed(place: RepositoryPlace, changes: readonly Json[] = []): Promise<void> {
    await this.#announce("repo:push", place, { push: { changes } });
  }

  async remove(place: RepositoryPlace): Promise<void> {
    const repository = await this.#find(place);
    const payload = await this.#payload(repository);
    await rm(repository.folder, { recursive: true });
    this.#set(place, undefined);
    await this.#fake.webhooks.send("repo:deleted", repository, payload);
  }

  async rename(place: RepositoryPlace, slug: string): Promise<void> {
    const to = { workspace: place.workspace, slug };
    await this.#move(place, to);
    const changes = { full_name: { old: fullName(place), new: fullName(to) } };
    await this.#announce("repo:updated", to, { changes });
  }

  /** Only the workspace that gets it receives the event. */
  async transfer(place: RepositoryPlace, workspace: string): Promise<void> {
    const to = { workspace, slug: place.slug };
    await this.#move(place, to);
    await this.#announce("repo:transfer", to, { previous_workspace: { slug: place.workspace } });
  }

  async change(
    place: RepositoryPlace,
    settings: { readonly project?: string; readonly public?: boolean },
  ): Promise<void> {
    const { uuid, folder } = await this.#find(place);
    this.#set(place, { ...this.#settings(place), ...settings, uuid });
    await touch(folder);
    await this.#announce("repo:updated", place, { changes: {} });
  }

  /** Gives a project another key. Its repositories do not count as updated. */
  async renameProject(workspace: string, key: string, newKey: string): Promise<void> {
    const { root, controls, addresses, webhooks } = this.#fake;
    for (const repository of await listRepositories(root, workspace, controls.accounts)) {
      if (repository.projectKey !== key) continue;
      this.#set(repository, { ...this.#settings(repository), project: newKey, uuid: repository.uuid });
    }
    const project = projectShape(workspace, newKey, addresses);
    const payload = { actor: userShape("olga"), project, changes: { key: { old: key, new: newKey } } };
    await webhooks.send("project:updated", { workspace }, payload);
  }

  async #move(from: RepositoryPlace, to: RepositoryPlace): Promise<void> {
    const { uuid, folder, isPublic, projectKey } = await this.#find(from);
    const target = this.#folder(to);
    await mkdir(dirname(target), { recursive: true });
    await rename(folder, target);
    await touch(target);
    const formerNames = [...(this.#settings(from).formerNames ?? []), fullName(from)];
    this.#set(from, undefined);
    this.#set(to, { uuid, public: isPublic, project: projectKey, formerNames });
  }

  async #announce(event: string, place: RepositoryPlace, others: Record<string, Json> = {}): Promise<void> {
    const repository = await this.#find(place);
    const payload = { ...(await this.#payload(repository)), ...others };
    await this.#fake.webhooks.send(event, repository, payload);
  }

  async #payload(repository: CataloguedRepository): Promise<Record<string, Json>> {
    return {
      actor: userShape("olga"),
      repository: await repositoryShape(repository, this.#fake.addresses, undefined),
    };
  }

  async #find({ workspace, slug }: RepositoryPlace): Promise<CataloguedRepository> {
    const { root, controls } = this.#fake;
    const found = await findRepository(root, workspace, slug, controls.accounts);
    if (found === undefined) throw new Error(`no repository ${workspace}/${slug}`);
    return found;
  }

  #settings(place: RepositoryPlace): RepositorySettings {
    return this.#fake.controls.accounts.repositories[fullName(place)] ?? {};
  }

  #set(place: RepositoryPlace, settings: RepositorySettings | undefined): void {
    const { controls } = this.#fake;
    const { [fullName(place)]: _old, ...others } = controls.accounts.repositories;
    const repositories = settings === undefined ? others : { ...others, [fullName(place)]: settings };
    controls.replaceAccounts({ ...controls.accounts, repositories });
  }

  #folder({ workspace, slug }: RepositoryPlace): string {
    return join(this.#fake.root, workspace, `${slug}.git`);
  }
}

function fullName({ workspace, slug }: RepositoryPlace): string {
  return `${workspace}/${slug}`;
}

async function makeEmpty(folder: string): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", folder]);
}

/** `updated_on` is when a file of the repository was changed last. */
async function touch(folder: string): Promise<void> {
  const now = new Date();
  await utimes(join(folder, "HEAD"), now, now);
}
