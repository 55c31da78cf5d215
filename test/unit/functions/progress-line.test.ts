import { expect, test } from "vitest";
import { ProgressLine, type ProgressOutput } from "../../../functions/local/progress-line.ts";

function recorded(terminal: Pick<ProgressOutput, "isTTY" | "columns">) {
  const texts: string[] = [];
  const line = new ProgressLine({ ...terminal, write: (text) => texts.push(text) });
  return { line, texts };
}

const PROGRESS = { phase: "scanning", objects: 12_345, totalObjects: 67_890 } as const;
const SHOWN = "indexing, 12345 of 67890 objects";

test.each([
  [80, `acme/a-repository-with-a-long-name: ${SHOWN}`],
  [60, `…ository-with-a-long-name: ${SHOWN}`],
  [36, SHOWN],
  [20, SHOWN.slice(0, 19)],
])("on a terminal of %i columns the progress is whole, and the name's end is shown", (columns, expected) => {
  const { line, texts } = recorded({ isTTY: true, columns });
  line.showing("acme/a-repository-with-a-long-name")(PROGRESS);
  const shown = texts.join("").replace(/^\r.\[K/, "");
  expect(shown).toBe(expected);
  expect(shown.length).toBeLessThan(columns);
});

test("elsewhere a phase is a whole line, with its time", () => {
  const { line, texts } = recorded({});
  const name = `acme/${"x".repeat(200)}`;
  for (let n = 0; n < 3; n++) line.showing(name)(PROGRESS);
  expect(texts).toEqual([
    expect.stringMatching(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z ${name}: ${SHOWN}\n$`)),
  ]);
});

test("with several repositories a line says how many are done, within its width", () => {
  const { line, texts } = recorded({ isTTY: true, columns: 60 });
  line.expect(200);
  for (let n = 0; n < 12; n++) line.finish();
  line.showing("acme/a-repository-with-a-long-name")(PROGRESS);
  const shown = texts.join("").replace(/^\r.\[K/, "");
  expect(shown).toMatch(new RegExp(`^12 of 200, …[a-z-]+: ${SHOWN}$`));
  expect(shown.length).toBeLessThan(60);
});
