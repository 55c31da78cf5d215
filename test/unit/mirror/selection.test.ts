import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../lib/errors.ts";
import {
  type MirroredWorkspaceInput,
  mirrorConfigOf,
  parseMirrorConfig,
} from "../../../lib/mirror/mirror-config.ts";
import { isMirrored } from "../../../lib/mirror/selection.ts";

const REPOSITORIES = ["CORE/engine", "CORE/engine-docs", "WEB/site", "WEB/shop", "OPS/.dotfiles"];

/** Which of the repositories are mirrored. */
function selected(settings: Omit<MirroredWorkspaceInput, "workspace">): string[] {
  const config = mirrorConfigOf([{ workspace: "Acme", ...settings }]);
  return REPOSITORIES.filter((name) => {
    const [projectKey = "", slug = ""] = name.split("/");
    return isMirrored(config, { workspace: "acme", slug, projectKey, isPrivate: false });
  });
}

test.each([
  [{ projects: "all" }, REPOSITORIES],
  [{ projects: [] }, []],
  [{ projects: ["core"] }, ["CORE/engine", "CORE/engine-docs"]],
  [{ projects: ["CORE"], exclude: ["*-docs"] }, ["CORE/engine"]],
  [{ projects: [], include: ["site", "?dotfiles"] }, ["WEB/site", "OPS/.dotfiles"]],
  [
    { projects: ["CORE"], include: ["WEB/s*"], exclude: ["SHOP", "WEB/shop"] },
    ["CORE/engine", "CORE/engine-docs", "WEB/site"],
  ],
  [{ projects: "all", exclude: ["*"] }, []],
  [{ projects: "all", publicRepositories: false }, []],
  [{ projects: "all", disabled: true }, []],
  [{ projects: "all", removedAt: "2026-11-01T00:00:00Z" }, []],
] as const)("%j selects %j", (settings, expected) => {
  const {
    include = [],
    exclude = [],
    projects,
    ...others
  } = { include: undefined, exclude: undefined, ...settings };
  const copied = projects === "all" ? projects : [...projects];
  expect(selected({ ...others, projects: copied, include: [...include], exclude: [...exclude] })).toEqual(
    expected,
  );
});

test("a private repository needs a credential; one of another workspace is none of ours", () => {
  const repository = { workspace: "acme", slug: "a", projectKey: "X", isPrivate: true };
  const open = mirrorConfigOf([{ workspace: "acme", projects: "all" }]);
  expect(isMirrored(open, repository)).toBe(false);
  const known = mirrorConfigOf([
    { workspace: "acme", projects: "all", credential: "bot", publicRepositories: false },
  ]);
  expect(isMirrored(known, repository)).toBe(true);
  expect(isMirrored(known, { ...repository, workspace: "other" })).toBe(false);
});

test("patterns mean what a regular expression of the same form means", () => {
  const part = fc.constantFrom("a", "b", "-", "*", "?");
  const pattern = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(""));
  const slug = fc
    .array(fc.constantFrom("a", "b", "-"), { minLength: 1, maxLength: 8 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, slug, (glob, text) => {
      const config = mirrorConfigOf([{ workspace: "acme", projects: [], include: [glob] }]);
      const expression = new RegExp(`^${glob.replaceAll("*", ".*").replaceAll("?", ".")}$`);
      const repository = { workspace: "acme", slug: text, projectKey: "X", isPrivate: false };
      expect(isMirrored(config, repository)).toBe(expression.test(text));
    }),
  );
});

test("a pattern that would make a regular expression go back for ever is answered at once", () => {
  const config = mirrorConfigOf([{ workspace: "acme", projects: [], include: [`${"*a".repeat(100)}`] }]);
  const repository = { workspace: "acme", slug: `${"a".repeat(199)}b`, projectKey: "X", isPrivate: false };
  expect(isMirrored(config, repository)).toBe(false);
});

describe("a configuration is refused, with what is wrong where", () => {
  test.each([
    ["{", "not JSON"],
    ['{"formatVersion":1}', "workspaces"],
    ['{"formatVersion":2,"anything":[]}', "workspaces"],
    [
      '{"formatVersion":2,"workspaces":[],"mustUnderstand":["teams"]}',
      'newer release wrote config.json: it uses "teams"',
    ],
    ['{"formatVersion":1,"workspaces":[],"workspace":[]}', "unknown field workspace"],
    ['{"formatVersion":1,"workspaces":[{"workspace":"../x","projects":"all"}]}', "workspaces[0].workspace"],
    ['{"formatVersion":1,"workspaces":[{"workspace":"a","projects":"some"}]}', "workspaces[0].projects"],
    ['{"formatVersion":1,"workspaces":[{"workspace":"a","projects":"all","include":["a b"]}]}', "include[0]"],
    ['{"formatVersion":1,"workspaces":[{"workspace":"a","projects":"all","token":"hunter2"}]}', "token"],
    [
      '{"formatVersion":1,"workspaces":[{"workspace":"a","projects":"all"},{"workspace":"A","projects":[]}]}',
      "named twice",
    ],
    [
      '{"formatVersion":1,"workspaces":[{"workspace":"a","projcts":"all"}]}',
      'must be "all" or a list of project keys',
    ],
    ['{"formatVersion":1,"workspaces":[{"workspace":"a","projects":["a b"]}]}', "must be a project's key"],
    [
      '{"formatVersion":1,"workspaces":[{"workspace":"a","projects":"all","retentionDays":-1}]}',
      "must be a whole number of days",
    ],
    [
      '{"formatVersion":1,"workspaces":[{"workspace":"a","projects":"all","disabled":"no"}]}',
      "true or false",
    ],
    [
      '{"formatVersion":1,"workspaces":[{"workspace":"a","projects":"all","include":"x"}]}',
      "a list of patterns",
    ],
    ['{"formatVersion":1,"workspaces":["a"]}', "must be an object"],
    ['{"formatVersion":"1","workspaces":[]}', "must be a whole number"],
    ['{"formatVersion":1,"workspaces":[],"relayWebhooks":[{"id":"A","url":1}]}', "must be of small letters"],
    [" ".repeat(1024 * 1024 + 1), "longer than"],
  ])("%.80s", (text, complaint) => {
    const parse = () => parseMirrorConfig(new TextEncoder().encode(text));
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(complaint);
    expect(parse).not.toThrow("hunter2");
    expect(parse).not.toThrow("Invalid input");
  });
});
