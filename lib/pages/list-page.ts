/** The first page: what the mirror is, and the caller's repositories. */
import { html } from "hono/html";
import { describeAge } from "../age.ts";
import type { ApiRepository, ApiRepositoryList } from "./api-schemas.ts";
import { ageOf, copyable, type Html, layout, type Viewer } from "./page-layout.ts";
import { PAGE_LENGTH } from "./visible-repositories.ts";
import { formatBytes, stateWords } from "./words.ts";

export interface ListPage {
  readonly viewer: Viewer;
  readonly list: ApiRepositoryList;
  readonly search: string;
  readonly start: number;
  /** Where the caller has reached the mirror. */
  readonly mirrorUrl: string;
  /** Path of the repositories' pages. */
  readonly pagePath: string;
  /** Whether anyone may read public repositories here. */
  readonly allowsAnonymous: boolean;
  readonly nowMs: number;
}

export function listPage(page: ListPage): Html {
  const { viewer, search } = page;
  return layout(
    "Repositories – Nearside",
    viewer,
    html`${viewer.name === undefined ? introduction(page) : ""}
<h1>${viewer.name === undefined ? "Public repositories" : "Repositories"}</h1>
<form class="search" role="search" method="get" action="${viewer.basePath}/">
<label for="search">Search by name</label>
<input id="search" name="search" type="search" value="${search}" maxlength="200" autocomplete="off" spellcheck="false">
<button>Search</button>
</form>
<div id="list" data-events="${viewer.basePath}/-/events?${queryOf(page.search, page.start)}">${listPart(page)}</div>
<section aria-labelledby="setup-title">
<h2 id="setup-title">Use the mirror in all your clones</h2>
<p>This script makes git read from here what your remotes name at Bitbucket, and push there as before. <a href="${viewer.basePath}/-/setup.sh">Read it</a>,
see what it would do with <code>--dry-run</code>, and take it back with <code>--undo</code>. On Windows: <a href="${viewer.basePath}/-/setup.ps1">setup.ps1</a>.</p>
${copyable("setup", "command that sets git up", `curl -fsSO ${page.mirrorUrl}/-/setup.sh && sh setup.sh --dry-run`)}
</section>`,
  );
}

function introduction({ mirrorUrl, allowsAnonymous }: ListPage): Html {
  return html`<section class="intro">
<p>This server holds copies of Bitbucket repositories, near to you. Clone and fetch from here with the credential that you use at
Bitbucket; Bitbucket decides who may read, and pushes still go there.</p>
${copyable("intro-clone", "command to clone", `git clone ${mirrorUrl}/<workspace>/<repository>.git`)}
<p>${allowsAnonymous ? "Sign in to see your private repositories." : "Sign in to see your repositories."}</p>
</section>`;
}

/** What the script replaces while one types. */
export function listPart(page: ListPage): Html {
  const { list, search, start, viewer, allowsAnonymous } = page;
  const { basePath } = viewer;
  const { repositories, totalCount, nextStart, notes } = list;
  return html`${notes.map((note) => html`<p class="note">${note}</p>`)}
<p id="count" class="count">${countWords(list, search, start)}</p>
${
  repositories.length > 0
    ? html`<div class="scroll" tabindex="0" role="region" aria-label="Repositories"><table>
<thead><tr><th scope="col">Repository</th><th scope="col">State</th><th scope="col">Verified</th><th scope="col" class="number">Size</th></tr></thead>
<tbody>${repositories.map((one) => row(one, page))}</tbody></table></div>`
    : totalCount === 0 && search === "" && viewer.name === undefined && allowsAnonymous
      ? html`<p>The mirror has no public repositories.</p>`
      : ""
}
${
  start > 0 || nextStart !== undefined
    ? html`<nav class="paging" aria-label="Pages">${
        start > 0
          ? html`<a href="${basePath}/?${queryOf(search, Math.max(0, start - PAGE_LENGTH))}" rel="prev">Previous page</a> `
          : ""
      }${
        nextStart === undefined
          ? ""
          : html`<a href="${basePath}/?${queryOf(search, nextStart)}" rel="next">Next page</a>`
      }</nav>`
    : ""
}`;
}

function countWords({ repositories, totalCount }: ApiRepositoryList, search: string, start: number): string {
  const found = search === "" ? "" : ` with “${search}” in the name`;
  const counted = (count: number) => `${count} ${count === 1 ? "repository" : "repositories"}${found}`;
  if (totalCount <= repositories.length) return counted(totalCount);
  return `${start + 1} to ${start + repositories.length} of ${counted(totalCount)}`;
}

function row(one: ApiRepository, { pagePath, nowMs }: ListPage): Html {
  const name = `${one.workspace}/${one.slug}`;
  return html`<tr data-repository="${name}">
<th scope="row"><a href="${pagePath}/${encodeURIComponent(one.workspace)}/${encodeURIComponent(one.slug)}">${name}</a>${
    one.isPrivate ? "" : html` <span class="tag">public</span>`
  }</th>
<td>${stateCell(one)}</td>
<td><span class="label">Verified </span>${verifiedCell(one, nowMs)}</td>
<td class="number">${one.published === undefined ? "" : formatBytes(one.published.packBytes)}</td>
</tr>
`;
}

export function stateCell({ state, lastError }: ApiRepository): Html {
  const { text, kind } = stateWords(state);
  return html`<span class="state ${kind}" data-state="${state}">${text}</span>${
    lastError === undefined ? "" : html`<span class="problem">${lastError.text}</span>`
  }`;
}

export function verifiedCell({ published }: ApiRepository, nowMs: number): Html {
  if (published === undefined) return html`<span>not yet</span>`;
  const { verifiedAt } = published;
  return ageOf(verifiedAt, `${describeAge(nowMs - Date.parse(verifiedAt))} ago`);
}

function queryOf(search: string, start: number): string {
  return new URLSearchParams({
    ...(search !== "" && { search }),
    ...(start > 0 && { start: String(start) }),
  }).toString();
}
