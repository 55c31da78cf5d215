import { describe, expect, test } from "vitest";
import { parseLfsUrl } from "../../../lib/lfs/lfs-config-file.ts";

test.each([
  ["[lfs]\n\turl = https://files.example.com/lfs\n", "https://files.example.com/lfs"],
  ['[lfs]\r\n  URL="https://files.example.com/lfs" ; ours\r\n', "https://files.example.com/lfs"],
  ["[ LFS ] url = https://a.example.com # one line", "https://a.example.com"],
  ["[lfs]\nurl = https://a.example.com\nurl = https://b.example.com", "https://b.example.com"],
  ["[lfs]\nurl =\npushurl = https://a.example.com", undefined],
  ['[lfs "https://a.example.com"]\naccess = basic\n[remote "lfs"]\nurl = https://a.example.com', undefined],
  ["# [lfs]\n; url = x\nurl = https://a.example.com\n[lfs\nurl = https://b.example.com", undefined],
  ["", undefined],
])("%j sets %j", (text, url) => {
  expect(parseLfsUrl(text)).toBe(url);
});

describe("a text that a backtracking parser never finishes", () => {
  const size = 64 * 1024;

  test.each([
    ["blanks after a bracket", `[${" ".repeat(size)}`],
    ["blanks", " ".repeat(size)],
    ["brackets", "[".repeat(size)],
    ["blanks in a value", `[lfs] url = a${" ".repeat(size)}b`],
    ["a bracket and blanks on each line", `[${" ".repeat(900)}\n`.repeat(72)],
    ["a value of blanks on each line", `[lfs] url${" ".repeat(900)}\n`.repeat(72)],
  ])("%s", (_name, text) => {
    expect(parseLfsUrl(`${text}\n[lfs]\nurl = https://a.example.com`)).toBe("https://a.example.com");
  });
});
