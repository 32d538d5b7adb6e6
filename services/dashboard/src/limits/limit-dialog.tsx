import { useQuery } from "@tanstack/react-query";
import { LIMIT_KINDS, type Limit } from "@towpath/contract";
import { type ReactNode, useState } from "react";
import { useDeployments } from "../deployments/use-deployments.ts";
import { client } from "../kernel/client.ts";
import { DeleteForm, EditForm, FormField, type InputAttributes, useSave } from "../kernel/edit-form.tsx";
import { Modal } from "../kernel/modal.tsx";
import { effectText, type LimitTexts, limitOf, limitTextsOf, newLimitTexts, slotsIn } from "./limit-texts.ts";
import { useLoad } from "./use-load.ts";

/** The lists that show limits, by the first words of their keys. */
const LISTS = ["limits"] as const;
const PATHS = ["kind", "name", "slots", "perMs", "collision"] as const;

const KINDS: Readonly<Record<Limit["kind"], string>> = {
  named: "Runs and tasks that name it",
  deployment: "Runs of a deployment",
  pool: "Runs in a pool",
  queue: "Runs in a queue of a pool",
  tag: "Runs and tasks with a tag",
};

const COUNTS: Readonly<Record<LimitTexts["counts"], string>> = {
  slots: "at once",
  rate: "per time",
};

const COLLISION_WORDS: Readonly<Record<Limit["collision"], string>> = {
  enqueue: "The new run waits",
  "cancel-new": "The new run is cancelled",
  "cancel-running": "The oldest runs are cancelled",
};

/** The texts of a form, and what changes them. */
interface Props {
  readonly texts: LimitTexts;
  readonly onTexts: (texts: Partial<LimitTexts>) => void;
}

function Options({ words }: { words: Readonly<Record<string, string>> }) {
  return Object.entries(words).map(([value, text]) => (
    <option key={value} value={value}>
      {text}
    </option>
  ));
}

/** The names that a limit of this kind can have. Undefined: any. */
function useNames(kind: Limit["kind"]): readonly string[] | undefined {
  const deployments = useDeployments({ enabled: kind === "deployment" });
  const pools = useQuery({
    enabled: kind === "pool",
    queryKey: ["pools"],
    queryFn: ({ signal }) => client.listPools({ query: { limit: 200 } }, { signal }),
  });
  if (kind === "deployment") return deployments.data?.items.map(({ name }) => name) ?? [];
  return kind === "pool" ? (pools.data?.items.map(({ name }) => name) ?? []) : undefined;
}

const NAME_LABELS: Readonly<Record<Limit["kind"], string>> = {
  named: "Name",
  deployment: "Deployment",
  pool: "Pool",
  queue: "Queue",
  tag: "Tag",
};

const PLACEHOLDERS: Readonly<Partial<Record<Limit["kind"], string>>> = {
  named: "warehouse",
  queue: "local/urgent",
  tag: "etl",
};

const NAME_HINTS: Readonly<Partial<Record<Limit["kind"], string>>> = {
  named: "lower-case letters, digits, - and _",
  queue: "as pool/queue",
  tag: "exactly as runs and tasks have it",
};

function NameField({ texts, onTexts }: Props) {
  const names = useNames(texts.kind);
  const input = (attributes: InputAttributes): ReactNode => {
    const common = {
      ...attributes,
      required: true,
      className: "field aria-invalid:border-bad",
      value: texts.name,
      onChange: (event: { target: { value: string } }) => onTexts({ name: event.target.value }),
    };
    if (names === undefined)
      return <input {...common} autoComplete="off" placeholder={PLACEHOLDERS[texts.kind]} />;
    return (
      <select {...common}>
        <option value="">Choose one…</option>
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    );
  };
  const hint = NAME_HINTS[texts.kind];
  return (
    <FormField path="name" name={NAME_LABELS[texts.kind]} {...(hint !== undefined && { hint })}>
      {input}
    </FormField>
  );
}

function KindField({ texts, onTexts }: Props) {
  return (
    <FormField path="kind" name="Limits">
      {(attributes) => (
        <select
          {...attributes}
          className="field"
          value={texts.kind}
          onChange={({ target: { value } }) =>
            onTexts({ kind: LIMIT_KINDS.find((one) => one === value) ?? "named", name: "" })
          }
        >
          <Options words={KINDS} />
        </select>
      )}
    </FormField>
  );
}

/** How many slots there are, and when they return. */
function AmountFields({ texts, onTexts }: Props) {
  return (
    <div className="grid grid-cols-2 gap-3 sm:grid-cols-3">
      <FormField path="slots" name={texts.counts === "rate" ? "Tokens" : "Slots"}>
        {(attributes) => (
          <input
            {...attributes}
            inputMode="numeric"
            autoComplete="off"
            placeholder="3"
            className="field aria-invalid:border-bad"
            value={texts.slots}
            onChange={(event) => onTexts({ slots: event.target.value })}
          />
        )}
      </FormField>
      <FormField path="counts" name="Counted">
        {(attributes) => (
          <select
            {...attributes}
            className="field"
            value={texts.counts}
            onChange={({ target }) => onTexts({ counts: target.value === "rate" ? "rate" : "slots" })}
          >
            <Options words={COUNTS} />
          </select>
        )}
      </FormField>
      {texts.counts === "rate" && (
        <FormField path="perMs" name="Time" hint="at most 24h">
          {(attributes) => (
            <input
              {...attributes}
              autoComplete="off"
              placeholder="1m"
              className="field aria-invalid:border-bad"
              value={texts.per}
              onChange={(event) => onTexts({ per: event.target.value })}
            />
          )}
        </FormField>
      )}
    </div>
  );
}

function CollisionField({ texts, onTexts }: Props) {
  return (
    <FormField path="collision" name="If no slot is free">
      {(attributes) => (
        <select
          {...attributes}
          className="field"
          value={texts.collision}
          onChange={(event) => onTexts({ collision: event.target.value })}
        >
          <Options words={COLLISION_WORDS} />
        </select>
      )}
    </FormField>
  );
}

/** What the limit would hold now. */
function Effect({ texts, limit }: { texts: LimitTexts; limit: Limit | null }) {
  const load = useLoad(texts, limit);
  const slots = slotsIn(texts.slots);
  if (texts.counts === "rate")
    return (
      <p role="status" className="text-12 text-soft">
        A token returns when its time has passed, whether its holder has ended or not.
      </p>
    );
  if (slots === null || load === undefined) return null;
  return (
    <p role="status" className="text-12 text-soft">
      {effectText(slots, load)}
    </p>
  );
}

interface FormProps extends Props {
  /** The limit that is edited, as it was read. Null: a new one. */
  readonly before: Limit | null;
  /** Whether what it limits is chosen in the form. */
  readonly chooses: boolean;
  readonly onReload: () => Promise<void>;
  readonly onDelete: () => void;
  readonly onClose: () => void;
}

function LimitForm({ before, chooses, texts, onTexts, onReload, onDelete, onClose }: FormProps) {
  const saving = useSave({
    save: async () =>
      client.setLimit({ body: { ...limitOf(texts), ifUpdatedAt: before?.updatedAt ?? null } }),
    lists: LISTS,
    said: ({ name }) => (before ? `Changed the limit ${name}.` : `Created the limit ${name}.`),
    onClose,
  });
  return (
    <EditForm
      does={before ? "Save" : "Create the limit"}
      saving={saving}
      paths={PATHS}
      onReload={onReload}
      onDelete={before ? onDelete : undefined}
      onClose={onClose}
    >
      {chooses && (
        <div className="grid gap-3 sm:grid-cols-2">
          <KindField texts={texts} onTexts={onTexts} />
          <NameField key={texts.kind} texts={texts} onTexts={onTexts} />
        </div>
      )}
      {before?.source === "code" && (
        <p className="text-12 text-warn">
          This limit comes from the code of {before.name}. Once you change it here, new versions leave it as
          it is.
        </p>
      )}
      {texts.kind === "tag" && (
        <p className="text-12 text-soft">
          A run with this tag takes a slot. Each try of a task with this tag takes one too, unless its run
          holds one already.
        </p>
      )}
      <AmountFields texts={texts} onTexts={onTexts} />
      {texts.kind === "deployment" && <CollisionField texts={texts} onTexts={onTexts} />}
      <Effect texts={texts} limit={before} />
    </EditForm>
  );
}

function DeleteLimit({ limit, onBack, onClose }: { limit: Limit; onBack: () => void; onClose: () => void }) {
  const { id, name, kind, source } = limit;
  const saving = useSave({
    save: () => client.deleteLimit({ params: { limitId: id } }),
    lists: LISTS,
    said: () => `Removed the limit ${name}.`,
    onClose,
  });
  return (
    <DeleteForm does="Remove the limit" saving={saving} onBack={onBack}>
      <p>Runs that wait for this limit alone start at once. Nothing that runs is stopped.</p>
      {kind === "named" && (
        <p className="text-soft">
          Tasks that name it fail when they start, and the next deploy of a deployment that names it is
          refused.
        </p>
      )}
      {source === "code" && (
        <p className="text-soft">
          The limit comes from the code of {name}. Its next version creates it again.
        </p>
      )}
    </DeleteForm>
  );
}

/** A dialog that creates a limit, or changes or removes an existing one. */
export function LimitDialog({
  limit = null,
  of,
  onClose,
}: {
  /** The limit to change. Absent: a new one. */
  limit?: Limit | null;
  /** What a new limit applies to. Absent: the form asks. */
  of?: Pick<Limit, "kind" | "name">;
  onClose: () => void;
}) {
  // Changes by other people arrive while the form is open. It keeps what its reader has seen.
  const [before, setBefore] = useState(limit);
  const [isDeleting, setDeleting] = useState(false);
  const [round, setRound] = useState(0);
  const [texts, setTexts] = useState(() =>
    limit ? limitTextsOf(limit) : newLimitTexts(of ?? { kind: "named", name: "" }),
  );
  const reload = async () => {
    if (before === null) return;
    const found = await client.getLimit({ params: { limitId: before.id } });
    setBefore(found);
    setTexts(limitTextsOf(found));
    setRound(round + 1);
  };
  const named = limit ?? of;
  const what = named === undefined ? "limit" : `limit of ${named.kind} ${named.name}`;
  const known = named?.kind === "named" ? `limit ${named.name}` : what;
  const title = limit === null ? `New ${known}` : `${isDeleting ? "Remove" : "Edit"} ${known}`;
  return (
    <Modal title={isDeleting ? `${title}?` : title} onClose={onClose}>
      {isDeleting && before ? (
        <DeleteLimit limit={before} onBack={() => setDeleting(false)} onClose={onClose} />
      ) : (
        <LimitForm
          key={round}
          before={before}
          chooses={limit === null && of === undefined}
          texts={texts}
          onTexts={(some) => setTexts((all) => ({ ...all, ...some }))}
          onReload={reload}
          onDelete={() => setDeleting(true)}
          onClose={onClose}
        />
      )}
    </Modal>
  );
}
