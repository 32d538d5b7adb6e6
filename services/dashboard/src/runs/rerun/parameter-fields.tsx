import { Problem } from "@towpath/contract";
import type { Field } from "../waits/answer-fields.ts";
import { FieldInput } from "./field-input.tsx";

/** The server's error about one field. */
function faultOf(failure: unknown, name: string): string | undefined {
  if (!(failure instanceof Problem)) return undefined;
  const of = (path: string) => path.replace(/^parameters\./, "");
  return failure.faults.find(({ path }) => of(path) === name || of(path).startsWith(`${name}.`))?.message;
}

/** A field for each parameter, with its description and its error. */
export function ParameterFields({
  fields,
  failure,
  onText,
}: {
  fields: readonly Field[];
  failure: unknown;
  onText: (name: string, text: string) => void;
}) {
  return fields.map((field) => (
    <div key={field.name}>
      <p className="text-12 font-medium">
        {field.name || "Parameters"}{" "}
        {field.required || <span className="font-normal text-faint">optional</span>}
      </p>
      {field.hint && <p className="text-12 text-faint">{field.hint}</p>}
      <FieldInput field={field} onText={(text) => onText(field.name, text)} />
      {faultOf(failure, field.name) && <p className="text-12 text-bad">{faultOf(failure, field.name)}</p>}
    </div>
  ));
}
