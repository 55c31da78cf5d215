/** A question at a terminal: who answers, and that programs are not asked. */
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { ask } from "../../../functions/cli/ask.ts";

function terminal(isTTY: boolean) {
  const input = Object.assign(new PassThrough(), { isTTY });
  const output = Object.assign(new PassThrough(), { isTTY });
  return { input, output };
}

test("the answer is a line, without the spaces around it", async () => {
  const { input, output } = terminal(true);
  const answer = ask("Name: ", { input, output });
  input.write("  acme-bot \n");
  expect(await answer).toBe("acme-bot");
  expect(String(output.read())).toContain("Name: ");
});

test("an input that ends is no answer, and ends the command", async () => {
  const { input, output } = terminal(true);
  const answer = ask("Name: ", { input, output });
  input.end();
  await expect(answer).rejects.toThrow("nothing is done");
});

test("Ctrl-C is no answer", async () => {
  const { input, output } = terminal(true);
  const answer = ask("Name: ", { input, output });
  input.write("\x03");
  await expect(answer).rejects.toThrow("nothing is done");
});

test("a program is asked nothing, and does not wait", async () => {
  const { input, output } = terminal(false);
  expect(await ask("Name: ", { input, output })).toBeUndefined();
  expect(output.read()).toBeNull();
});
