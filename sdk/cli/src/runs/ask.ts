import { type Json, type Parameter, parametersOf, typedValue } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { printable } from "../output.ts";

/** An answer as the command line has it: the whole value, or `name=value` for each field. */
export interface GivenAnswer {
  readonly value: string | undefined;
  readonly given: readonly string[];
}

/** A prompt for one line of text. Null: the reader interrupted it. */
export type Ask = (message: string, validate: (text: string) => string | undefined) => Promise<string | null>;

/** A prompt at the terminal. It has no initial value, so Enter alone decides nothing. */
export const askAtTerminal: Ask = async (message, validate) => {
  const { isCancel, text } = await import("@clack/prompts");
  const typed = await text({ message, validate: (value) => validate(value ?? "") });
  return isCancel(typed) ? null : typed;
};

function messageOf({ name, types, required, standard }: Parameter): string {
  const what = types.includes("boolean") ? "yes or no" : types.join(" or ");
  const note = required ? "" : standard === null ? ", optional" : `, default ${standard}`;
  return name === "" ? `The answer (${what})` : `${printable(name)} (${what}${note})`;
}

/** Why a text is no value of a field. Undefined: it is one. */
function faultIn(field: Parameter, text: string): string | undefined {
  if (text === "") return field.required ? "A value is needed." : undefined;
  const typed = typedValue(field.name || "the answer", { text, types: field.types });
  return "value" in typed ? undefined : typed.message;
}

/**
 * Asks for each field of a question. An empty text leaves an optional field out.
 * @throws Failure if the reader interrupts it.
 */
export async function askForAnswer(
  question: { readonly title: string | null; readonly schema: { [key: string]: Json } },
  ask: Ask = askAtTerminal,
): Promise<GivenAnswer> {
  const fields = parametersOf(question.schema);
  const given: string[] = [];
  for (const field of fields) {
    const text = await ask(messageOf(field), (typed) => faultIn(field, typed));
    if (text === null) throw notAnswered();
    if (text !== "") given.push(field.name === "" ? text : `${field.name}=${text}`);
  }
  return fields[0]?.name === "" ? { value: given[0], given: [] } : { value: undefined, given };
}

function notAnswered(): Failure {
  return new Failure("Nothing was answered.", { exit: "interrupted", next: ["the question stays open"] });
}
