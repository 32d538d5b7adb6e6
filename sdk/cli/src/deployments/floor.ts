import type { Client } from "@towpath/client";
import { type PinnedVersions, Problem } from "@towpath/contract";
import type { LedgerEntry } from "@towpath/contract/ledger";
import { Failure } from "../failure.ts";

/** How far a floor may stay behind its version, unless the project says otherwise. */
export const FLOOR_LAG = 100;

/** The oldest version that a spec still allows. */
export interface Floor {
  readonly floor: number;
  /** Whether the project's configuration sets it, or the runs that have not ended. */
  readonly by: LedgerEntry["floorBy"];
  readonly notes: readonly string[];
}

/** The runs that have not ended. Null: a control plane of an older release, which cannot say. */
async function pinnedOf(client: Client, name: string): Promise<PinnedVersions | null> {
  try {
    return await client.getPinnedVersions({ params: { name } });
  } catch (failure) {
    if (failure instanceof Problem && failure.status === 404) return null;
    throw failure;
  }
}

/**
 * The floor of the next version: that of the project's configuration, else the oldest version that a run needs which has not
 * ended, else the version itself. The control plane says which runs there are. If it lies, the floor does not rise: it is never
 * below that of the ledger's last line, and at most `lagMax` versions below the new one.
 * @param args.isKept Whether there is a ledger. Without one, on the developer's machine, every version stays allowed.
 * @throws Failure `floor-lag`.
 */
export async function floorFor(
  client: Client,
  args: {
    readonly name: string;
    readonly version: number;
    readonly given: number | undefined;
    readonly last: LedgerEntry | null;
    readonly isKept: boolean;
    readonly lagMax: number;
  },
): Promise<Floor> {
  const { name, version, given, last, isKept, lagMax } = args;
  if (given !== undefined) return { floor: given, by: "author", notes: [] };
  if (!isKept) return { floor: 1, by: "author", notes: [] };
  const pinned = await pinnedOf(client, name);
  const least = Math.min(last?.floor ?? 1, version);
  if (pinned === null) return { floor: least, by: "runs", notes: [] };
  const floor = Math.max(Math.min(pinned.oldest ?? version, version), least);
  if (version - floor > lagMax)
    throw new Failure(
      `A run of "${name}" still needs v${floor} (${pinned.runId ?? "unknown"}), which is more than ${lagMax} versions old.`,
      {
        exit: "invalidInput",
        code: "floor-lag",
        next: [
          "nothing was signed: workers would have to accept all versions since then",
          `wait for its end, or cancel it: \`towpath runs cancel ${pinned.runId ?? "RUN"}\``,
          "or set `floor` of the deployment, or a higher `floorLag` of the project",
        ],
      },
    );
  return {
    floor,
    by: "runs",
    notes: [...lostNotes({ name, pinned, floor }), ...keptNotes({ name, pinned, floor, version })],
  };
}

type Noted = { readonly name: string; readonly pinned: PinnedVersions; readonly floor: number };

function lostNotes({ name, pinned: { oldest, runId }, floor }: Noted): string[] {
  if (oldest === null || oldest >= floor) return [];
  return [
    `Run ${runId ?? "unknown"} of "${name}" needs v${oldest}, which v${floor} has withdrawn. Workers refuse it.`,
  ];
}

function keptNotes({
  name,
  pinned: { runs },
  floor,
  version,
}: Noted & { readonly version: number }): string[] {
  if (floor >= version) return [];
  const who = runs === 1 ? "a run that has not ended needs" : `${runs} runs that have not ended need`;
  return [`Workers may still run "${name}" from v${floor} on, because ${who} it.`];
}
