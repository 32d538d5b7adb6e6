import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type CreateKey, type Key, Name, ROLES, type Role } from "@towpath/contract";
import { type FormEvent, useState } from "react";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { CopyLine } from "../kernel/copy-line.tsx";
import { Instant } from "../kernel/instant.tsx";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Refusal, Shown } from "../kernel/standing.tsx";

const ROLE_NAMES = Object.keys(ROLES) as Role[];

function requestOf(form: FormData): CreateKey {
  const name = String(form.get("name") ?? "");
  const role = String(form.get("role") ?? "");
  if (role === "worker") return { kind: "worker", name };
  return { kind: "api", name, role: ROLE_NAMES.find((one) => one === role) ?? "viewer" };
}

function NewKey() {
  const cache = useQueryClient();
  const make = useMutation({
    mutationFn: (form: FormData) => client.createKey({ body: requestOf(form) }),
    onSuccess: () => cache.invalidateQueries({ queryKey: ["keys"] }),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    make.mutate(new FormData(event.currentTarget));
  };
  return (
    <Panel title="Make a key">
      <form onSubmit={submit} className="flex flex-wrap items-center gap-1.5">
        <input
          name="name"
          required
          pattern="[a-z0-9][a-z0-9_\-]{0,62}"
          title={Name.description ?? "Lower-case letters, digits, - and _"}
          aria-label="Name of the key"
          placeholder="name"
          className="field w-44"
        />
        <select name="role" aria-label="What the key may do" className="field" defaultValue="developer">
          {ROLE_NAMES.map((role) => (
            <option key={role}>{role}</option>
          ))}
          <option value="worker">worker</option>
        </select>
        <Button type="submit" look="accent" disabled={make.isPending}>
          Make the key
        </Button>
      </form>
      <Refusal failure={make.error} />
      {make.data && (
        <div className="mt-3 space-y-1">
          <p className="text-warn">This is the only time it is shown. Copy it now.</p>
          <CopyLine text={make.data.secret} />
        </div>
      )}
    </Panel>
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
      <Refusal failure={revoke.error} />
      <Button
        look="danger"
        disabled={revoke.isPending}
        onClick={() => (sure ? revoke.mutate() : setSure(true))}
      >
        {sure ? "Revoke for good" : "Revoke"}
      </Button>
    </>
  );
}

function KeyRow({ row }: { row: Key }) {
  return (
    <li className="flex min-h-11 flex-wrap items-center gap-x-3 border-line px-3 py-1.5 not-last:border-b">
      <span className={`font-medium sm:min-w-32 ${row.revokedAt ? "text-faint line-through" : ""}`}>
        {row.name}
      </span>
      <span className="text-soft">
        {row.kind === "worker" ? `worker${row.pool ? ` of ${row.pool}` : ""}` : row.role}
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

/** The keys of the workspace: who may call, and what for. */
export function KeysPage() {
  const query = useQuery({
    queryKey: ["keys"],
    queryFn: ({ signal }) => client.listKeys({ query: { limit: 200 } }, { signal }),
  });
  return (
    <>
      <PageHead title="Keys" />
      <Shown query={query}>
        {({ items }) => (
          <div className="flex flex-col gap-4">
            <NewKey />
            <Panel title="All keys" flush>
              <ul>
                {items.map((row) => (
                  <KeyRow key={row.id} row={row} />
                ))}
              </ul>
            </Panel>
          </div>
        )}
      </Shown>
    </>
  );
}
