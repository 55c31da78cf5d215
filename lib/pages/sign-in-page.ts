/** Signing in, and what is said where there is nothing to show. */
import { html } from "hono/html";
import { type Html, layout, signInLink, type Viewer } from "./page-layout.ts";

export interface SignInPage {
  readonly viewer: Viewer;
  /** What was wrong with the last attempt, or that a session has ended. */
  readonly problem?: string;
  readonly user?: string;
}

export function signInPage({ viewer, problem, user = "" }: SignInPage): Html {
  return layout(
    "Sign in – Nearside",
    viewer,
    html`<h1>Sign in</h1>
${problem === undefined ? "" : html`<p class="note bad" role="alert" id="problem">${problem}</p>`}
<p>Use the credential that you use for git at Bitbucket. Bitbucket checks it. It stays in a cookie of your browser, encrypted, for an
hour at most; the mirror does not store it.</p>
<form class="sign-in" method="post" action="${viewer.basePath}/-/sign-in">
<p><label for="user">E-mail address of your Atlassian account</label>
<input id="user" name="user" value="${user}" autocomplete="username" spellcheck="false" autocapitalize="none" aria-describedby="user-hint" maxlength="300">
<small id="user-hint">Leave it empty for an access token of a repository, project or workspace.</small></p>
<p><label for="token">API token or access token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required maxlength="2500" aria-describedby="token-hint">
<small id="token-hint">An API token needs the scope <code>read:repository:bitbucket</code>.</small></p>
<p><button class="primary">Sign in</button></p>
</form>`,
  );
}

export function messagePage(viewer: Viewer, title: string, text: string): Html {
  return layout(
    `${title} – Nearside`,
    viewer,
    html`<h1>${title}</h1>
<p>${text}</p>
<p>${viewer.name === undefined ? html`${signInLink(viewer)} ` : ""}<a href="${viewer.basePath}/">All repositories</a></p>`,
  );
}
