/** A JSON object on the wire, with any fields. */
export type Wire = Record<string, unknown>;
