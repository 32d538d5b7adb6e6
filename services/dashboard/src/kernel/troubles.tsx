import type { Trouble } from "@towpath/contract";
import { Instant } from "./instant.tsx";

/** The jobs that failed for something, and when each is tried again. */
export function Troubles({ troubles }: { troubles: readonly Trouble[] | undefined }) {
  if (troubles === undefined || troubles.length === 0) return null;
  return (
    <ul className="w-full text-12 text-bad" aria-label="Problems">
      {troubles.map(({ job, message, failures, retryAt }) => (
        <li key={job} className="[overflow-wrap:anywhere]">
          ! {message} Failed {failures === 1 ? "once" : `${failures} times`}. Next try{" "}
          <Instant at={retryAt} />.
        </li>
      ))}
    </ul>
  );
}
