import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type CreateKey, type Key, ROLES, type Role } from "@towpath/contract";
import { type FormEvent, useState } from "react";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { FormEnd, NameField, ShownOnce } from "../kernel/form.tsx";
import { Instant } from "../kernel/instant.tsx";
import { Labelled } from "../kernel/labelled.tsx";
import { Modal } from "../kernel/modal.tsx";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { FormError, QueryResult, ROW_HEIGHTS } from "../kernel/query-result.tsx";
import { useMay } from "./me.ts";
import { SealingPanel } from "./sealing-panel.tsx";
import { SessionsPanel } from "./sessions-panel.tsx";

const ROLE_NAMES = Object.keys(ROLES) as Role[];

function requestOf(form: FormData): CreateKey {
  const name = String(form.get("name") ?? "");
  const role = String(form.get("role") ?? "");
  if (role === "worker") return { kind: "worker", name };
  return { kind: "api", name, role: ROLE_NAMES.find((one) => one === role) ?? "viewer" };
}

function NewKey({ onClose }: { onClose: () => void }) {
  const cache = useQueryClient();
  const make = useMutation({
    mutationFn: (form: FormData) => client.createKey({ body: requestOf(form) }),
    onSuccess: () => cache.invalidateQueries({ queryKey: ["keys"] }),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    make.mutate(new FormData(event.currentTarget));
  };
  if (make.data)
    return (
      <Modal title="New key" onClose={onClose}>
        <ShownOnce secret={make.data.secret} onClose={onClose}>
          <p className="text-warn">This key is shown only once. Copy it now.</p>
        </ShownOnce>
      </Modal>
    );
  return (
    <Modal title="Create a key" onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-3">
        <NameField placeholder="ci" />
        <Labelled name="Role">
          <select name="role" className="field" defaultValue="developer">
            {ROLE_NAMES.map((role) => (
              <option key={role}>{role}</option>
            ))}
            <option value="worker">worker</option>
          </select>
        </Labelled>
        <FormEnd does="Create the key" make={make} onClose={onClose} />
      </form>
    </Modal>
  );
}

function RevokeButton({ key_ }: { key_: Key }) {
  const cache = useQueryClient();
  const [sure, setSure] = useState(false);
  const revoke = useMutation({
    mutationFn: () => client.revokeKey({ params: { keyId: key_.id } }),
    onSuccess: () => cache.invalidateQueries({ queryKey: ["keys"] }),
  });
  return (
    <>
      <FormError failure={revoke.error} />
      <Button
        look="danger"
        disabled={revoke.isPending}
        onClick={() => (sure ? revoke.mutate() : setSure(true))}
      >
        {sure ? "Revoke permanently" : "Revoke"}
      </Button>
    </>
  );
}

function KeyRow({ row }: { row: Key }) {
  return (
    <li
      className={`flex ${ROW_HEIGHTS.high} flex-wrap items-center gap-x-3 border-line px-3 py-1.5 not-last:border-b`}
    >
      <span className={`font-medium sm:w-44 sm:truncate ${row.revokedAt ? "text-faint line-through" : ""}`}>
        {row.name}
      </span>
      <span className="text-soft sm:w-44">
        {row.kind === "worker" ? `worker${row.pool ? ` of ${row.pool}` : ""}` : row.role}
      </span>
      <span className="text-12 text-faint max-md:hidden">
        created <Instant at={row.createdAt} />
      </span>
      <span className="ml-auto text-12 text-faint">
        {row.revokedAt ? (
          <>
            revoked <Instant at={row.revokedAt} />
          </>
        ) : row.lastUsedAt ? (
          <>
            used <Instant at={row.lastUsedAt} />
          </>
        ) : (
          "never used"
        )}
      </span>
      {row.revokedAt === null && <RevokeButton key_={row} />}
    </li>
  );
}

/** The keys of the workspace with their roles. */
export function KeysPage() {
  const may = useMay("admin");
  const [making, setMaking] = useState(false);
  const query = useQuery({
    queryKey: ["keys"],
    queryFn: ({ signal }) => client.listKeys({ query: { limit: 200 } }, { signal }),
  });
  return (
    <>
      <PageHead title="Keys">
        {may && (
          <Button look="accent" onClick={() => setMaking(true)}>
            Create a key
          </Button>
        )}
      </PageHead>
      {making && <NewKey onClose={() => setMaking(false)} />}
      <QueryResult query={query} look="list" height="high">
        {({ items }) => (
          <Panel title="All keys" note="who can call the control plane, and in which role" flush>
            <ul>
              {items.map((row) => (
                <KeyRow key={row.id} row={row} />
              ))}
            </ul>
          </Panel>
        )}
      </QueryResult>
      <div className="mt-4 space-y-4">
        <SealingPanel />
        <SessionsPanel />
      </div>
    </>
  );
}
