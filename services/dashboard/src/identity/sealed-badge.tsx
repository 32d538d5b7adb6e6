import { Link } from "@tanstack/react-router";
import { Lock } from "lucide-react";
import { canRead } from "../kernel/workspace-keys.ts";
import { useMe } from "./me.ts";

/** Says in a sealed workspace that this tab has no key, and where to load it. */
export function SealedBadge() {
  const me = useMe();
  if (!me?.workspace.sealed || canRead()) return null;
  return (
    <p
      role="status"
      className="mb-5 flex w-fit items-center gap-2 rounded-md border border-line bg-surface px-2 py-1 text-12 text-soft"
    >
      <Lock size={14} />
      <span>
        This workspace is sealed.{" "}
        <Link to="/keys" className="text-accent hover:underline">
          Load the workspace key
        </Link>{" "}
        to read parameters, errors, logs and artifacts.
      </span>
    </p>
  );
}
