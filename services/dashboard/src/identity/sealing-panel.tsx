import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { keyBytesOf, openKeyring } from "@towpath/contract";
import { type FormEvent, type ReactNode, useState } from "react";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { Labelled } from "../kernel/labelled.tsx";
import { Panel } from "../kernel/panel.tsx";
import { FormError } from "../kernel/query-result.tsx";
import { canUnseal, forgetKeys, loadedKeys, loadKey, workspaceKeys } from "../kernel/workspace-keys.ts";
import { useMay, useMe } from "./me.ts";

/** Reads everything again with the keys of this tab. */
function readAgain(): void {
  window.location.reload();
}

/** The ids of the keys with which this page seals and opens, the sealing one first. */
function useKids(): readonly string[] | undefined {
  return useQuery({
    queryKey: ["workspace-keys"],
    queryFn: async () => {
      const [first, ...others] = await workspaceKeys();
      return first === undefined ? [] : (await openKeyring([first, ...others])).kids;
    },
    staleTime: Number.POSITIVE_INFINITY,
    enabled: canUnseal(),
  }).data;
}

function LoadKey() {
  const load = useMutation({
    mutationFn: async (form: FormData) => {
      const key = String(form.get("workspace key") ?? "").trim();
      keyBytesOf(key);
      loadKey(key);
    },
    onSuccess: readAgain,
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    load.mutate(new FormData(event.currentTarget));
  };
  return (
    <form onSubmit={submit} className="space-y-2">
      <Labelled name="Workspace key">
        <input
          name="workspace key"
          type="password"
          required
          autoComplete="off"
          placeholder="twp_seal_…"
          className="field w-full font-mono"
        />
      </Labelled>
      <p className="text-12 text-faint">
        The key stays in this tab until you close it. It is never sent. This page comes from the control
        plane: if you do not trust its JavaScript with your key, run <code>towpath view</code> instead.
      </p>
      <FormError failure={load.error} />
      <Button type="submit" look="accent" disabled={load.isPending}>
        Load the key
      </Button>
    </form>
  );
}

function Keys({ kids }: { kids: readonly string[] }) {
  if (kids.length === 0) return <LoadKey />;
  const forget = () => {
    forgetKeys();
    readAgain();
  };
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
      <p>
        This tab reads and seals with the key <code>{kids[0]}</code>
        {kids.length > 1 && (
          <>
            {" "}
            and opens with{" "}
            {kids.slice(1).map((kid) => (
              <code key={kid}>{kid} </code>
            ))}
          </>
        )}
        .
      </p>
      {loadedKeys().length > 0 && <Button onClick={forget}>Forget the key</Button>}
    </div>
  );
}

function SwitchButton({ sealed }: { sealed: boolean }) {
  const cache = useQueryClient();
  const [sure, setSure] = useState(false);
  const change = useMutation({
    mutationFn: () => client.setSealing({ body: { sealed: !sealed } }),
    onSuccess: () => {
      setSure(false);
      return cache.invalidateQueries({ queryKey: ["me"] });
    },
  });
  const does = sealed ? "Accept plain values again" : "Seal this workspace";
  return (
    <div className="space-y-2">
      <FormError failure={change.error} />
      <Button
        look={sealed ? "danger" : "plain"}
        disabled={change.isPending}
        onClick={() => (sure ? change.mutate() : setSure(true))}
      >
        {sure ? `${does}: confirm` : does}
      </Button>
    </div>
  );
}

function Text({ children }: { children: ReactNode }) {
  return <p className="max-w-3xl text-13 text-soft">{children}</p>;
}

/** Whether the workspace is sealed, the key of this tab, and the switch for administrators. */
export function SealingPanel() {
  const me = useMe();
  const may = useMay("admin");
  const kids = useKids();
  if (me === undefined) return null;
  const { sealed } = me.workspace;
  return (
    <Panel
      title="Sealing"
      note={sealed ? "this workspace is sealed" : "this workspace stores values as they are"}
    >
      <div className="space-y-3">
        <Text>
          {sealed
            ? "The control plane stores only ciphertext of parameters, errors, log lines, artifacts, questions and answers."
            : "A sealed workspace stores only ciphertext of parameters, errors, log lines, artifacts, questions and answers."}{" "}
          States, times, sizes, and names of deployments and tasks stay readable. The control plane cannot
          search in logs or by a run's name, group similar failures, or write names, titles and errors into
          notifications.
        </Text>
        {!canUnseal() && (
          <Text>
            This browser decrypts only on pages with https, or on your own machine. Open the dashboard over
            https, or run <code>towpath view</code>.
          </Text>
        )}
        {kids !== undefined && <Keys kids={kids} />}
        {!sealed && (
          <Text>
            The key also opens log lines and large artifacts that stay in your store. Before you seal the
            workspace, give the key to every worker and to everyone who creates runs:{" "}
            <code>towpath workspace new-key</code> creates one.
          </Text>
        )}
        {may && <SwitchButton sealed={sealed} />}
      </div>
    </Panel>
  );
}
