import { useQuery } from "@tanstack/react-query";
import { StoredUnreadable } from "@towpath/client/stored";
import type { ReactNode } from "react";
import { textsQuery } from "./stored-reader.ts";

/** The address of a text in the customer's store. */
export interface StoredAddress {
  readonly runId: string;
  /** Its line, `attempt:line` of the wire. */
  readonly line: string;
  readonly stored: { readonly hash: string; readonly index: number };
}

/** The text of a line that stays in the customer's store. Lines of one body share one request. */
export default function StoredText({
  runId,
  line,
  stored,
  draw,
}: StoredAddress & { draw: (text: string) => ReactNode }) {
  const { data, error } = useQuery(textsQuery({ runId, line, hash: stored.hash }));
  const text = data?.[stored.index];
  if (text !== undefined) return draw(text);
  if (error === null && data === undefined)
    return (
      <span className="skeleton inline-block h-3 w-48 align-middle">
        <span className="sr-only">Loading the text</span>
      </span>
    );
  const why = error instanceof StoredUnreadable ? error.notice : "it cannot be read";
  return (
    <span className="text-faint italic" title={error?.message}>
      not shown: {why}
    </span>
  );
}
