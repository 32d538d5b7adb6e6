import { createHash } from "node:crypto";
import { Compiled, type JsonObject } from "../schema/walk.ts";

/** A schema as text, and the name that threads remember it by. */
export interface SchemaText {
  readonly key: string;
  readonly text: string;
}

/** What was made of a schema: it lives as long as the schema does, and is not larger by much. */
interface Known {
  readonly compiled: Compiled;
  text: SchemaText | null;
}

const knownOf = new WeakMap<JsonObject, Known>();

function known(schema: JsonObject): Known {
  const found = knownOf.get(schema) ?? { compiled: new Compiled(schema), text: null };
  knownOf.set(schema, found);
  return found;
}

/** A schema, ready to be checked against in this thread. */
export function compiledOf(schema: JsonObject): Compiled {
  return known(schema).compiled;
}

/** A schema, ready to be sent to a thread. */
export function textOf(schema: JsonObject): SchemaText {
  const it = known(schema);
  if (it.text !== null) return it.text;
  const text = JSON.stringify(schema);
  it.text = { key: createHash("sha256").update(text).digest("base64"), text };
  return it.text;
}
