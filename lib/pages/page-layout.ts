/** The frame of every page. */
import { createHash } from "node:crypto";
import { html } from "hono/html";
import { PAGE_SCRIPT } from "./page-script.ts";
import { PAGE_STYLE } from "./page-style.ts";

/** Text that is safe in HTML. */
export type Html = ReturnType<typeof html>;

export interface Viewer {
  /** Absent without sign-in. */
  readonly name: string | undefined;
  /** Of the mirror's own addresses; see `HttpRequest`. */
  readonly basePath: string;
  readonly version: string;
  /** Whether there is a link to the pages for administrators. */
  readonly mayAdminister: boolean;
  /** Whether there is a session to end. */
  readonly canSignOut: boolean;
}

export const ASSETS = {
  style: asset("text/css; charset=utf-8", PAGE_STYLE),
  script: asset("text/javascript; charset=utf-8", PAGE_SCRIPT),
} as const;

function asset(contentType: string, text: string) {
  return { contentType, text, hash: createHash("sha256").update(text).digest("hex").slice(0, 16) };
}

export function layout(title: string, viewer: Viewer, content: Html): Html {
  const { basePath, version } = viewer;
  return html`<!doctype html>
<html lang="en" data-base="${basePath}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${basePath}/-/page.css?${ASSETS.style.hash}">
<script src="${basePath}/-/page.js?${ASSETS.script.hash}" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header>
<a class="home" href="${basePath}/">Nearside</a>
<span class="what">a mirror of Bitbucket Cloud</span>
<nav aria-label="Account">${viewer.name === undefined ? signInLink(viewer) : signOut(viewer)}</nav>
</header>
<main id="content" tabindex="-1">
${content}
</main>
<footer>Nearside ${version} · <a href="${basePath}/-/api/v1/openapi.json">JSON API</a></footer>
<div id="announcement" class="visually-hidden" role="status"></div>
</body>
</html>
`;
}

export function signInLink({ basePath }: Viewer): Html {
  return html`<a class="button" href="${basePath}/-/sign-in">Sign in</a>`;
}

function signOut({ name, basePath, mayAdminister, canSignOut }: Viewer): Html {
  return html`${mayAdminister ? html`<a href="${basePath}/-/admin">Administration</a> ` : ""}${canSignOut ? html`<form method="post" action="${basePath}/-/sign-out"><span class="who">${name}</span> <button>Sign out</button></form>` : html`<span class="who">${name}</span>`}`;
}

/**
 * A text with a button that copies it; the button appears where scripts run. One line wraps; of several, whose indentation counts, long
 * ones are scrolled.
 * @param id - Of the text's element.
 */
export function copyable(id: string, label: string, text: string): Html {
  const scrolled = html` class="scroll" tabindex="0" role="region" aria-label="${label}"`;
  return html`<div class="copyable"><pre${text.includes("\n") ? scrolled : ""}><code id="${id}">${text}</code></pre><button type="button" data-copy="${id}" aria-label="Copy: ${label}" hidden>Copy</button></div>`;
}

/** @param at - ISO 8601; kept up to date where scripts run. */
export function ageOf(at: string, text: string): Html {
  return html`<time datetime="${at}" data-age>${text}</time>`;
}
