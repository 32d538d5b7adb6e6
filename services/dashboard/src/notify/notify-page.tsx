import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Delivery, type Notifier, shortId } from "@towpath/contract";
import { useState } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { duration } from "../kernel/format.ts";
import { Instant } from "../kernel/instant.tsx";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Empty, FormError, QueryResult } from "../kernel/query-result.tsx";
import { NewNotifier } from "./new-notifier.tsx";

const LOOKS: Readonly<Record<Delivery["state"], { text: string; look: string }>> = {
  sent: { text: "✓ sent", look: "text-good" },
  waiting: { text: "… waiting", look: "text-warn" },
  "given-up": { text: "✗ given up", look: "text-bad" },
};

const EVENT_LOOKS: Readonly<Record<Delivery["event"], string>> = {
  failure: "text-bad",
  late: "text-warn",
  recovery: "text-good",
  question: "text-accent",
  test: "text-soft",
};

function Outcome({ delivery }: { delivery: Delivery }) {
  const { text, look } = LOOKS[delivery.state];
  return (
    <span className="text-12">
      <span className={`font-medium ${look}`}>{text}</span>
      {delivery.failure !== null && <span className="text-soft"> {delivery.failure}</span>}
      {delivery.nextAt !== null && (
        <span className="text-faint">
          , next try <Instant at={delivery.nextAt} />
        </span>
      )}
    </span>
  );
}

function NotifierActions({ notifier }: { notifier: Notifier }) {
  const [sure, setSure] = useState(false);
  const params = { name: notifier.name };
  const test = useMutation({ mutationFn: () => client.testNotifier({ params }) });
  const remove = useMutation({ mutationFn: () => client.deleteNotifier({ params }) });
  return (
    <div className="flex w-full flex-wrap items-center gap-1.5 sm:w-auto">
      <Button disabled={test.isPending} onClick={() => test.mutate()}>
        {test.isPending ? "Sending…" : "Send a test"}
      </Button>
      <Button
        look="danger"
        disabled={remove.isPending}
        onClick={() => (sure ? remove.mutate() : setSure(true))}
      >
        {sure ? "Remove permanently" : "Remove"}
      </Button>
      <FormError failure={test.error ?? remove.error} />
    </div>
  );
}

/** `failure`, `failure and late`, `failure, late and recovery`. */
function wordsOf(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function NotifierRow({ notifier, may }: { notifier: Notifier; may: boolean }) {
  const late = notifier.events.includes("late") ? `, late after ${duration(notifier.lateAfterMs)}` : "";
  return (
    <li
      data-notifier={notifier.name}
      className="flex flex-wrap items-center gap-x-4 gap-y-2 border-line px-3 py-2.5 not-last:border-b"
    >
      <div className="min-w-0 flex-1 basis-64 space-y-0.5">
        <div className="flex flex-wrap items-baseline gap-x-2">
          <span className="font-medium">{notifier.name}</span>
          <span className="text-12 text-soft">
            {notifier.kind === "slack" ? "Slack" : "webhook"} to {notifier.target}
          </span>
        </div>
        <div className="text-12 text-soft">
          {wordsOf(notifier.events)} of {notifier.deployment ?? "all deployments"}
          {late}
        </div>
        {notifier.latest === null ? (
          <span className="text-12 text-faint">nothing sent yet</span>
        ) : (
          <span className="text-12 text-faint">
            <Outcome delivery={notifier.latest} /> <Instant at={notifier.latest.createdAt} />
          </span>
        )}
      </div>
      {may && <NotifierActions notifier={notifier} />}
    </li>
  );
}

function DeliveryRow({ delivery }: { delivery: Delivery }) {
  return (
    <li className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5 border-line px-3 py-1.5 not-last:border-b">
      <span className="w-24">
        <Outcome delivery={{ ...delivery, failure: null, nextAt: null }} />
      </span>
      <span className={`w-20 font-medium ${EVENT_LOOKS[delivery.event]}`}>{delivery.event}</span>
      <span className="min-w-28 text-soft">to {delivery.notifier}</span>
      {delivery.runId !== null && (
        <Link to="/runs/$runId" params={{ runId: delivery.runId }} className="hover:text-accent">
          run <code className="font-mono text-12">{shortId(delivery.runId)}</code>
        </Link>
      )}
      <span className="text-12 text-soft">
        {delivery.failure}
        {delivery.nextAt !== null && (
          <span className="text-faint">
            , next try <Instant at={delivery.nextAt} />
          </span>
        )}
      </span>
      <span className="ml-auto text-12 text-faint">
        {delivery.tries > 1 && `${delivery.tries} tries, `}
        <Instant at={delivery.createdAt} />
      </span>
    </li>
  );
}

function Deliveries() {
  const query = useQuery({
    queryKey: ["deliveries"],
    queryFn: ({ signal }) => client.listDeliveries({ query: { limit: 50 } }, { signal }),
  });
  return (
    <Panel title="Deliveries" note="newest first" flush>
      <QueryResult query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="p-3 text-faint">Nothing has been sent yet.</p>
          ) : (
            <ul>
              {items.map((delivery) => (
                <DeliveryRow key={delivery.id} delivery={delivery} />
              ))}
            </ul>
          )
        }
      </QueryResult>
    </Panel>
  );
}

/** The notifiers and their deliveries. */
export function NotifyPage() {
  const may = useMay("admin");
  const [adding, setAdding] = useState(false);
  const query = useQuery({
    queryKey: ["notifiers"],
    queryFn: ({ signal }) => client.listNotifiers({ query: { limit: 200 } }, { signal }),
  });
  return (
    <>
      <PageHead title="Notifiers">
        {may && (
          <Button look="accent" onClick={() => setAdding(true)}>
            Add a notifier
          </Button>
        )}
      </PageHead>
      {adding && <NewNotifier onClose={() => setAdding(false)} />}
      <QueryResult query={query} look="panels">
        {({ items }) => (
          <div className="flex flex-col gap-4">
            <Panel title="All notifiers" note="URLs that receive events" flush>
              {items.length === 0 ? (
                <Empty title="No notifiers yet">
                  {may
                    ? "A notifier sends an event to a URL when a run fails, is late, succeeds again, or asks a question."
                    : "An admin of the workspace can add one."}
                </Empty>
              ) : (
                <ul>
                  {items.map((notifier) => (
                    <NotifierRow key={notifier.id} notifier={notifier} may={may} />
                  ))}
                </ul>
              )}
            </Panel>
            {items.length > 0 && <Deliveries />}
          </div>
        )}
      </QueryResult>
    </>
  );
}
