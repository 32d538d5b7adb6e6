import { expect, test } from "vitest";
import { type Ask, askForAnswer } from "./ask.ts";

/** A reader who types these texts. A text that is refused is followed by the next one. */
function reader(...texts: string[]): { ask: Ask; heard: string[] } {
  const heard: string[] = [];
  const ask: Ask = async (message, validate) => {
    heard.push(message);
    for (let text = texts.shift(); text !== undefined; text = texts.shift()) {
      const fault = validate(text);
      if (fault === undefined) return text;
      heard.push(fault);
    }
    return null;
  };
  return { ask, heard };
}

const decision = { title: "Publish?", schema: { type: "boolean" } };

test("A question for a boolean takes yes or no; Enter alone decides nothing", async () => {
  const { ask, heard } = reader("", "maybe", "no");
  expect(await askForAnswer(decision, ask)).toEqual({ value: "no", given: [] });
  expect(heard).toEqual(["The answer (yes or no)", "A value is needed.", "the answer must be yes or no"]);
});

test("Each field is asked for; an empty text leaves an optional one out", async () => {
  const schema = {
    type: "object",
    properties: {
      approve: { type: "boolean" },
      note: { type: "string", default: "" },
      n: { type: "integer" },
    },
    required: ["approve"],
  };
  const { ask, heard } = reader("yes", "", "3");
  const answer = await askForAnswer({ title: "Good?", schema }, ask);
  expect(answer).toEqual({ value: undefined, given: ["approve=yes", "n=3"] });
  expect(heard).toEqual(["approve (yes or no)", 'note (string, default "")', "n (integer, optional)"]);
});

test("A reader who interrupts the question answers nothing", async () => {
  await expect(askForAnswer(decision, reader().ask)).rejects.toMatchObject({
    exit: "interrupted",
    message: "Nothing was answered.",
  });
});
