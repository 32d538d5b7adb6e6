/** Shorter values are not redacted, because they occur in ordinary text. */
const SECRET_MIN_CHARS = 4;

/** Whether a value is redacted in what leaves the worker. Asterisks alone already look like a redacted value. */
export function isRedactable(text: string): boolean {
  return text.length >= SECRET_MIN_CHARS && !/^\**$/.test(text);
}

/** A warning about a secret whose value cannot be redacted. Null if it can. */
export function secretWarning(name: string, value: string): string | null {
  if (isRedactable(value)) return null;
  const is =
    value.length < SECRET_MIN_CHARS ? `shorter than ${SECRET_MIN_CHARS} characters` : "only asterisks";
  return `The secret "${name}" is ${is}, so it is not redacted in logs and records. Use a longer value.`;
}
