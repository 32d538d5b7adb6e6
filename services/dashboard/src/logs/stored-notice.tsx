import { useQuery } from "@tanstack/react-query";
import { StoredProblem } from "./stored-problem.tsx";
import { textsQuery } from "./stored-reader.ts";
import type { StoredAddress } from "./stored-text.tsx";

/** Says above a log why the text of its first visible line is not shown. */
export default function StoredNotice({ runId, line, stored }: StoredAddress) {
  const { error } = useQuery(textsQuery({ runId, line, hash: stored.hash }));
  if (error === null) return null;
  return (
    <div className="border-b border-line">
      <StoredProblem runId={runId} error={error} />
    </div>
  );
}
