/** Who may do what with a repository, over git and over git-lfs. */
import { type Caller, identify, includesRight, rightOf } from "./accounts.ts";
import { type CataloguedRepository, findRepository } from "./catalogue.ts";
import type { GitService } from "./controls.ts";
import { type Answer, type Exchange, type Fake, NO_ACCESS_TEXT, textAnswer } from "./exchange.ts";

export interface Asked {
  readonly workspace: string;
  /** A name, or a uuid in braces. */
  readonly slug: string;
  /** What the right is needed for. */
  readonly service: GitService;
}

export type Admission =
  | { readonly repository: CataloguedRepository; readonly caller: Caller | undefined }
  | { readonly refusal: Answer };

const CHALLENGE: Answer = textAnswer(401, "Authentication required", {
  "WWW-Authenticate": 'Basic realm="Bitbucket.org HTTP"',
});

/** Unknown and forbidden look the same: a challenge to the anonymous, 404 to others. */
export async function admit(
  { controls, root }: Fake,
  { request, response, record, faults }: Exchange,
  { workspace, slug, service }: Asked,
): Promise<Admission> {
  const identity = identify(request.headers.authorization, "git", controls.accounts);
  if (identity.kind === "refused") return { refusal: refusalAnswer(identity.refusal) };
  const caller = identity.kind === "known" ? identity.caller : undefined;
  if (caller !== undefined) {
    record.caller = caller.name;
    response.setHeader("X-AUSERNAME", caller.name);
  }
  const isRefusedUuid = controls.misbehaviour.refuseUuids && slug.startsWith("{");
  const repository = isRefusedUuid
    ? undefined
    : await findRepository(root, workspace, slug, controls.accounts);
  const right = caller === undefined || repository === undefined ? "none" : rightOf(caller, repository);
  const mayRead = repository !== undefined && (repository.isPublic || includesRight(right, "read"));
  const mayWrite = includesRight(right, "write");
  if (repository === undefined || !(service === "git-upload-pack" ? mayRead : mayWrite)) {
    if (caller === undefined) return { refusal: CHALLENGE };
    return {
      refusal: mayRead ? textAnswer(403, "You have no write access.") : textAnswer(404, NO_ACCESS_TEXT),
    };
  }
  if (controls.refuseAlthoughAllowed(faults)) return { refusal: CHALLENGE };
  return { repository, caller };
}

function refusalAnswer(refusal: Caller["refusal"]): Answer {
  if (refusal === undefined) return CHALLENGE;
  return textAnswer(refusal.status, refusal.text, refusal.status === 401 ? CHALLENGE.headers : {});
}
