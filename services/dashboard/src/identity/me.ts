import { useQuery } from "@tanstack/react-query";
import { type Me, type Permission, ROLES } from "@towpath/contract";
import { client } from "../kernel/client.ts";

/** Who is signed in here; undefined until that is known, and when nobody is. */
export function useMe(): Me | undefined {
  return useQuery({
    queryKey: ["me"],
    queryFn: ({ signal }) => client.getMe({}, { signal }),
    staleTime: 60_000,
  }).data;
}

/** Whether the reader may do what a route asks this permission for. The server decides; this only hides what it would refuse. */
export function useMay(permission: Permission): boolean {
  const me = useMe();
  const granted: readonly Permission[] = me ? ROLES[me.key.role] : [];
  return granted.includes(permission);
}
