import { useId } from "react";
import type { Field } from "../waits/answer-fields.ts";

/** The two values of a boolean, and how a form names them. */
export type BooleanWords = Readonly<Record<"true" | "false", string>>;

const YES_NO: BooleanWords = { true: "Yes", false: "No" };

const CHOICE =
  "relative flex h-7 cursor-pointer items-center rounded-md border border-edge bg-surface px-2.5 text-13 font-medium hover:bg-hover has-checked:border-accent has-checked:bg-accent-soft has-checked:text-accent has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent has-disabled:opacity-50";

/**
 * Two buttons for a boolean, of which none is pressed at first. The browser refuses to send a form with an untouched
 * required one. An optional one has a third button for no value.
 */
function BooleanChoice({
  field,
  words,
  onText,
}: {
  field: Field;
  words: BooleanWords;
  onText: (text: string) => void;
}) {
  const { name, required, initial } = field;
  const group = useId();
  const choices = [
    ["true", words.true],
    ["false", words.false],
    ...(required || initial !== "" ? [] : [["", "Not set"]]),
  ] as const;
  return (
    <span role="radiogroup" aria-label={name === "" ? "Answer" : name} className="flex gap-1.5">
      {choices.map(([value, text]) => (
        <label key={value} className={CHOICE}>
          <input
            type="radio"
            name={group}
            required={required}
            defaultChecked={initial === value && (initial !== "" || !required)}
            className="absolute inset-0 cursor-pointer opacity-0"
            onChange={() => onText(value)}
          />
          {text}
        </label>
      ))}
    </span>
  );
}

/** The input of one field, for its kind. */
export function FieldInput({
  field,
  words = YES_NO,
  onText,
}: {
  field: Field;
  /** The names of a boolean's values. @default Yes and No */
  words?: BooleanWords;
  onText: (text: string) => void;
}) {
  const { name, kind, initial, choices, required } = field;
  const asked = {
    "aria-label": name === "" ? "Answer" : name,
    name,
    required,
    className: "field w-64 max-w-full",
    defaultValue: initial,
  };
  if (kind === "boolean") return <BooleanChoice field={field} words={words} onText={onText} />;
  if (kind === "choice")
    return (
      <select {...asked} onChange={(event) => onText(event.target.value)}>
        <option value="" />
        {choices.map((choice) => (
          <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>
            {String(choice)}
          </option>
        ))}
      </select>
    );
  if (kind === "json")
    return (
      <textarea
        {...asked}
        rows={Math.min(8, initial.split("\n").length + 1)}
        spellCheck={false}
        className="field w-full font-mono text-12"
        onChange={(event) => onText(event.target.value)}
      />
    );
  const type = kind === "number" ? "number" : "text";
  return <input {...asked} type={type} step="any" onChange={(event) => onText(event.target.value)} />;
}
