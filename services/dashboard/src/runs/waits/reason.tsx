import type { RunSummary } from "@towpath/contract";
import { Sentence } from "../sentence.tsx";
import { useWhy } from "./why-panel.tsx";

/** Why a run waits, in one sentence below its row. */
export function Reason({ run }: { run: RunSummary }) {
  const why = useWhy(run.id, run.state);
  return (
    <span className="relative z-10 block min-h-4 pl-5 text-12 text-soft">
      <Sentence text={why.data?.reasons[0]?.text ?? ""} />
    </span>
  );
}
