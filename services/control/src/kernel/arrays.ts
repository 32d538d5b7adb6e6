/** A Postgres array literal, for parameters cast to `text[]` or `uuid[]`. Null stays null. */
export function textArray(values: readonly (string | null)[]): string {
  const quoted = values.map((value) =>
    value === null ? "null" : `"${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`,
  );
  return `{${quoted.join(",")}}`;
}

/** A Postgres array literal of numbers, for parameters cast to `bigint[]` or `integer[]`. */
export function numberArray(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? "null").join(",")}}`;
}
