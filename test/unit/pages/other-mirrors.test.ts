/** Further mirrors of a workspace on repositories' pages. */
import { expect, test } from "vitest";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { pageRig } from "../../support/page-rig.ts";

const REPOSITORIES = [{ slug: "site", isPrivate: false }];
const SITE = { headers: { accept: "text/html" } };

function rigWith(otherMirrors?: readonly string[]) {
  const workspace = { workspace: "acme", projects: "all" as const };
  return pageRig({
    repositories: REPOSITORIES,
    workspaces: [{ ...workspace, ...(otherMirrors && { otherMirrors: [...otherMirrors] }) }],
  });
}

test("are listed with the line that clones, and the page's script may ask these and no others", async () => {
  const { send } = await rigWith(["https://sydney.example", "https://lyon.example:8443/git"]);
  const { text, headers } = await send("/acme/site", SITE);
  expect(text).toMatch(
    /Other mirrors[\s\S]*data-mirror="https:\/\/sydney.example"[\s\S]*git clone https:\/\/sydney.example\/acme\/site.git[\s\S]*git clone https:\/\/lyon.example:8443\/git\/acme\/site.git/,
  );
  expect(headers["content-security-policy"]).toContain(
    "connect-src 'self' https://sydney.example https://lyon.example:8443;",
  );
  expect((await send("/", SITE)).headers["content-security-policy"]).toContain("connect-src 'self';");
});

test("without any, nothing is said of them", async () => {
  const { send } = await rigWith();
  const { text, headers } = await send("/acme/site", SITE);
  expect(text).not.toContain("Other mirrors");
  expect(headers["content-security-policy"]).toContain("connect-src 'self';");
});

test("their addresses cannot widen the policy, and the style by which they are measured is everyone's", async () => {
  for (const url of [
    "https://a.example/",
    "https://a.example; script-src *",
    "https://u:p@a.example",
    "*",
    "ftp://a.example",
    "https://a.example/?x",
  ])
    expect(() => mirrorConfigOf([{ workspace: "acme", projects: [], otherMirrors: [url] }])).toThrow(
      "a mirror's address",
    );
  const { send } = await rigWith();
  const style = await send("/-/page.css?latency=1");
  expect([style.status, style.headers["cross-origin-resource-policy"]]).toEqual([200, "cross-origin"]);
  expect((await send("/", SITE)).headers["cross-origin-resource-policy"]).toBe("same-origin");
});
