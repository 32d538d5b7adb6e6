import type { Field } from "../waits/answer-fields.ts";

/** The input of one field, for its kind. */
export function FieldInput({ field, onText }: { field: Field; onText: (text: string) => void }) {
  const { name, kind, initial, choices, required } = field;
  const common = { "aria-label": name === "" ? "Answer" : name, name };
  const asked = { ...common, required, className: "field w-64 max-w-full", defaultValue: initial };
  if (kind === "boolean")
    return (
      <input
        {...common}
        type="checkbox"
        className="accent-accent"
        defaultChecked={initial === "true"}
        onChange={(event) => onText(String(event.target.checked))}
      />
    );
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
