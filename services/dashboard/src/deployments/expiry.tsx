import { expiryOf } from "@towpath/contract";
import { useNow } from "../kernel/clock.ts";

/** A version's expiry, if it has passed or comes soon. */
export function Expiry({ expiresAt, since }: { expiresAt: string | null | undefined; since: string }) {
  const expiry = expiryOf({ expiresAt, since }, useNow(false));
  if (expiry === null) return null;
  const title = "Workers refuse this version after its expiry. `towpath deploy --renew` signs it again.";
  return (
    <span className={`shrink-0 text-12 ${expiry.isPast ? "text-bad" : "text-warn"}`} title={title}>
      {expiry.isPast ? "expired" : `expires in ${expiry.days} d`}
    </span>
  );
}
