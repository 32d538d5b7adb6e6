import { Link } from "@tanstack/react-router";
import type { Overview } from "@towpath/contract";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";

/** The search for runs that were lost since a restore. */
const LOST = { state: "crashed", cause: "lost" };

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Reports that the control plane's database was restored lately, and which outcomes are unknown. */
export function Restored({ overview: { restored } }: { overview: Overview }) {
  if (restored === null) return null;
  const { at, offered, unknownAttempts, unknownOutcomes } = restored;
  return (
    <Panel title="The control plane's database was restored">
      <p>
        A backup was restored <Instant at={at} />. Workers then reported {counted(offered, "attempt")} again,
        and {counted(unknownAttempts, "attempt")} that the database does not have.{" "}
        {unknownOutcomes === 0 ? (
          "All outcomes are known."
        ) : (
          <Link to="/runs" search={LOST} className="text-accent hover:underline">
            {counted(unknownOutcomes, "attempt")} with an unknown outcome
          </Link>
        )}
      </p>
    </Panel>
  );
}
