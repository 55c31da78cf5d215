/** One repository: how it is, and how to use it. */
import { html } from "hono/html";
import type { ApiRepository } from "./api-schemas.ts";
import { stateCell, verifiedCell } from "./list-page.ts";
import { otherMirrors } from "./other-mirrors.ts";
import { copyable, type Html, layout, type Viewer } from "./page-layout.ts";
import { syncHistory } from "./sync-history.ts";
import { formatBytes } from "./words.ts";

export interface RepositoryPage {
  readonly viewer: Viewer;
  readonly repository: ApiRepository;
  /** Bitbucket's address for git. */
  readonly primaryUrl: string;
  readonly nowMs: number;
  /** Addresses of further mirrors of the workspace. */
  readonly otherMirrors: readonly string[];
}

export function repositoryPage(page: RepositoryPage): Html {
  const { viewer, repository } = page;
  const name = `${repository.workspace}/${repository.slug}`;
  return layout(
    `${name} – Nearside`,
    viewer,
    html`<h1>${name}${repository.isPrivate ? "" : html` <span class="tag">public</span>`}</h1>
<div id="facts" data-events="${viewer.basePath}/-/events?repository=${encodeURIComponent(name)}">
<dl class="facts" data-repository="${name}">
<div><dt>State</dt><dd>${stateCell(repository)}</dd></div>
<div><dt>Verified at Bitbucket</dt><dd>${verifiedCell(repository, page.nowMs)}</dd></div>
${published(repository)}${lfs(repository)}
</dl></div>
${clonePanel(page)}
${otherMirrors(repository, page.otherMirrors)}
${ciPanel(repository)}
${syncHistory(repository)}`,
  );
}

function published({ published: facts }: ApiRepository): Html {
  if (facts === undefined) return html``;
  const { packBytes, refCount, defaultBranch, publishedAt } = facts;
  return html`<div><dt>Size</dt><dd>${formatBytes(packBytes)}</dd></div>
<div><dt>Branches and tags</dt><dd>${refCount}</dd></div>
${defaultBranch === undefined ? "" : html`<div><dt>Main branch</dt><dd><code>${defaultBranch}</code></dd></div>`}
<div><dt>Last change</dt><dd><time datetime="${publishedAt}">${publishedAt.slice(0, 16).replace("T", " ")} UTC</time></dd></div>`;
}

function lfs({ lfs: counts }: ApiRepository): Html {
  if (counts === undefined) return html``;
  const { pointers, pointerBytes, stored, pending, missing, postponed } = counts;
  const others = [
    [pending, "to be copied"],
    [missing, "missing at Bitbucket"],
    [postponed, "postponed"],
  ] as const;
  const more = others.filter(([count]) => count > 0).map(([count, what]) => `, ${count} ${what}`);
  return html`<div><dt>Git LFS</dt><dd>${stored} of ${pointers} files stored (${formatBytes(pointerBytes)})${more.join("")}</dd></div>`;
}

function clonePanel({ repository, primaryUrl }: RepositoryPage): Html {
  const { cloneUrl, workspace, slug } = repository;
  const pushUrl = `${primaryUrl}/${encodeURIComponent(workspace)}/${encodeURIComponent(slug)}.git`;
  const protocols = cloneUrl.startsWith("https:") ? "https" : "http,https";
  return html`<section aria-labelledby="clone-title">
<h2 id="clone-title">Clone</h2>
<p>Log in as at Bitbucket, with your own credential: username <code>x-bitbucket-api-token-auth</code> and your API token as the password, or
<code>x-token-auth</code> and an access token.</p>
<h3>Everything</h3>
${copyable("clone", "command to clone", `git clone ${cloneUrl}`)}
<h3>The newest commit only</h3>
${copyable("clone-shallow", "command for a shallow clone", `git clone --depth 1 ${cloneUrl}`)}
<h3>A large repository, faster</h3>
${copyable(
  "clone-fast",
  "command for a fast clone",
  `git -c transfer.bundleURI=true -c fetch.uriProtocols=${protocols} clone ${cloneUrl}`,
)}
<h3>Push to Bitbucket from the clone</h3>
${copyable("push", "command that sets the address for pushes", `git remote set-url --push origin ${pushUrl}`)}
<p><a class="button" href="sourcetree://cloneRepo/${cloneUrl}">Clone in Sourcetree</a></p>
</section>`;
}

function ciPanel({ cloneUrl, published: facts }: ApiRepository): Html {
  const branch = facts?.defaultBranch ?? "main";
  // The token is in no command line: other users of a machine see those.
  const { origin } = new URL(cloneUrl);
  const logIn = [
    `export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=credential.${origin}.helper`,
    `export GIT_CONFIG_VALUE_0='!f() { echo username=x-token-auth; echo "password=$MIRROR_TOKEN"; }; f'`,
  ];
  const jenkins = `git url: '${cloneUrl}', branch: '${groovyText(branch)}', credentialsId: 'bitbucket'`;
  const pipelines = `clone:
  enabled: false
pipelines:
  default:
    - step:
        runs-on: [self.hosted, linux.shell]
        script:
          - ${logIn.join("\n          - ")}
          - git clone --depth 1 --no-checkout ${cloneUrl} source
          - cd source
          - git fetch --depth 1 origin "$BITBUCKET_COMMIT"
          - git checkout --detach FETCH_HEAD`;
  const actions = `- name: Check out from the mirror
  env:
    MIRROR_TOKEN: \${{ secrets.MIRROR_TOKEN }}
  run: |
    ${logIn.join("\n    ")}
    git clone --depth 1 ${cloneUrl} .`;
  return html`<section aria-labelledby="ci-title">
<h2 id="ci-title">In CI</h2>
<p>Store an access token of the repository, project or workspace that may read it as the secret <code>MIRROR_TOKEN</code> of the CI system. For a
user’s API token the username is <code>x-bitbucket-api-token-auth</code>.</p>
<h3>Jenkins, credential <code>bitbucket</code></h3>
${copyable("jenkins", "Jenkins step", jenkins)}
<h3>Bitbucket Pipelines on a runner</h3>
${copyable("pipelines", "Pipelines configuration", pipelines)}
<h3>Actions</h3>
${copyable("actions", "Actions step", actions)}
</section>`;
}

function groovyText(text: string): string {
  return text.replace(/[\\']/g, "\\$&");
}
