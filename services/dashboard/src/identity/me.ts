import { useQuery } from "@tanstack/react-query";
import { type Me, type Permission, Problem, ROLES } from "@towpath/contract";
import { client } from "../kernel/client.ts";

/** The signed-in key and its workspace. Undefined until it is known, and if nobody is signed in. */
export function useMe(): Me | undefined {
  return useQuery({
    queryKey: ["me"],
    queryFn: ({ signal }) => client.getMe({}, { signal }),
    staleTime: 60_000,
  }).data;
}

/** Whether the reader's role has a permission. The server decides; this only hides what it would reject. */
export function useMay(permission: Permission): boolean {
  const me = useMe();
  const granted: readonly Permission[] = me ? ROLES[me.key.role] : [];
  return granted.includes(permission);
}

/** Whether a failure means that nobody is signed in. */
export function needsSignIn(failure: unknown): boolean {
  return failure instanceof Problem && failure.code === "unauthenticated";
}
