import { Link } from "@tanstack/react-router";
import { mayAnswer } from "@towpath/contract";
import { useMe } from "../identity/me.ts";
import { Panel } from "../kernel/panel.tsx";
import { QuestionRows } from "../runs/waits/question-rows.tsx";
import { useWaits, waitsIn } from "../runs/waits/use-waits.ts";

/** Questions that are shown. A link opens the others. */
const SHOWN = 4;

/** The questions that the reader can answer, oldest first. Nothing if there are none. */
export function WaitingForYou() {
  const me = useMe();
  const { data } = useWaits("questions");
  if (me === undefined || data === undefined) return null;
  const mine = waitsIn(data).filter(({ who }) => mayAnswer(me.key.role, who ?? "operator"));
  if (mine.length === 0) return null;
  const more = mine.length - SHOWN;
  return (
    <Panel
      title="Waiting for you"
      flush
      actions={
        <Link to="/waits" className="text-12 text-accent hover:underline">
          {more > 0 ? `${more} more` : "All"}
        </Link>
      }
    >
      <QuestionRows waits={mine.slice(0, SHOWN)} folded />
    </Panel>
  );
}
