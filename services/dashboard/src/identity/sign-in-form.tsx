import { createClient } from "@towpath/client";
import { type FormEvent, useState } from "react";
import { Button } from "../kernel/button.tsx";
import { needsSignIn } from "./me.ts";

/** Exchanges a key for a one-time sign-in link, uses the link, and reloads the page. */
async function signIn(key: string): Promise<void> {
  const { url } = await createClient({
    url: window.location.origin,
    token: key,
    retries: 0,
  }).createSignInLink();
  const token = new URL(url).searchParams.get("token") ?? "";
  const answer = await fetch("/sign-in", {
    method: "POST",
    body: new URLSearchParams({ token, to: "/" }),
    redirect: "manual",
  });
  if (answer.type !== "opaqueredirect") throw new Error("The control plane did not sign this browser in.");
  window.location.reload();
}

/** Signs a browser in with an API key. The key is used once and not stored. */
export default function SignInForm() {
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const key = new FormData(event.currentTarget).get("key");
    setBusy(true);
    setFailure(null);
    signIn(typeof key === "string" ? key.trim() : "").catch((error: unknown) => {
      setBusy(false);
      setFailure(
        needsSignIn(error)
          ? "This key is not valid in this workspace, or it has been revoked."
          : String(error),
      );
    });
  };
  return (
    <form
      onSubmit={submit}
      className="mx-auto mt-[10vh] flex w-full max-w-sm flex-col gap-3 rounded-lg border border-line bg-surface p-6"
    >
      <h1>Sign in</h1>
      <p className="text-soft">
        Use an API key of this workspace, or open the link that <code>towpath open</code> prints.
      </p>
      <label htmlFor="key" className="-mb-2 text-12 font-medium">
        API key
      </label>
      <input
        id="key"
        name="key"
        type="password"
        autoComplete="current-password"
        required
        placeholder="twp_api_…"
        className="field h-9!"
      />
      <Button type="submit" look="accent" disabled={busy} className="h-9! justify-center">
        {busy ? "Signing in…" : "Sign in"}
      </Button>
      {failure && (
        <p className="text-bad" role="alert">
          {failure}
        </p>
      )}
    </form>
  );
}
