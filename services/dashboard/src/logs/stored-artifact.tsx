import { useQuery } from "@tanstack/react-query";
import type { PlainBody, StoredArtifactBody } from "@towpath/contract";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { StoredProblem } from "./stored-problem.tsx";
import { reader, STORED_QUERY } from "./stored-reader.ts";

/** How far below the view a body is fetched ahead. */
const AHEAD = "400px";

/** Whether an element has been in view. */
function useSeen() {
  const box = useRef<HTMLDivElement>(null);
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    if (box.current === null) return;
    const look = (entries: readonly IntersectionObserverEntry[]) => {
      if (entries.some((entry) => entry.isIntersecting)) setSeen(true);
    };
    const observer = new IntersectionObserver(look, { rootMargin: AHEAD });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return { box, isSeen };
}

/** The body of an artifact that stays in the customer's store. It is fetched when it comes into view. */
export default function StoredArtifact({
  runId,
  body,
  draw,
}: {
  runId: string;
  body: StoredArtifactBody;
  draw: (body: PlainBody) => ReactNode;
}) {
  const { box, isSeen } = useSeen();
  const { data, error } = useQuery({
    ...STORED_QUERY,
    enabled: isSeen,
    queryKey: ["stored", runId, body.hash],
    queryFn: () => reader.artifact(runId, body),
  });
  if (data !== undefined) return draw(data);
  if (error !== null) return <StoredProblem runId={runId} error={error} />;
  return (
    <div ref={box} role="status" className="space-y-1.5">
      <div className="skeleton h-3 w-2/3" />
      <div className="skeleton h-3 w-1/2" />
      <p className="text-12 text-faint">
        A worker sends {body.bytes.toLocaleString("en-US")} bytes from your store…
      </p>
    </div>
  );
}
