import type { Client } from "@towpath/client";
import { LIMITS, type Worker } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { caught } from "../fixture.ts";
import { findWorker } from "./find.ts";
import { isVanished } from "./gone.ts";

type Known = Pick<Worker, "id" | "name" | "online" | "held">;

/** The control plane at the network's edge, with these workers in its last pool. */
function having(workers: readonly Known[], pools = 1): Client {
  const names = Array.from({ length: pools }, (_, index) => `pool-${index}`);
  const last = names.at(-1);
  const client: unknown = {
    listPools: async ({ query: { limit, cursor = "0" } }: { query: { limit: number; cursor?: string } }) => {
      const end = Number(cursor) + limit;
      const items = names.slice(Number(cursor), end).map((name) => ({ name }));
      return { items, next: end < names.length ? String(end) : null };
    },
    listWorkers: async ({ params: { name } }: { params: { name: string } }) => ({
      items: name === last ? workers.map((one) => ({ ...one, pool: name, lastSeenAt: "2026-01-01" })) : [],
      next: null,
    }),
  };
  return client as Client;
}

const worker = (id: string, online: boolean, held: number): Known => ({ id, name: "build-7", online, held });
const vanished = (client: Client, name = "build-7") =>
  findWorker(client, { name, pool: undefined, command: "gone", isMeant: isVanished });

describe("of several workers of one name", () => {
  test("the offline one with runs is gone, although an online one has runs too", async () => {
    const workers = [worker("next", true, 2), worker("lost", false, 1), worker("earlier", false, 0)];
    expect(await vanished(having(workers))).toMatchObject({ id: "lost" });
  });

  test("an online one is never chosen, and the ids are listed", async () => {
    const refused = await caught(vanished(having([worker("next", true, 1), worker("lost", false, 0)])));
    expect(refused).toMatchObject({
      code: "ambiguous",
      next: [
        expect.stringMatching(/`towpath worker gone next` is of pool pool-0, online with 1 run,/),
        expect.stringMatching(/`towpath worker gone lost` is of pool pool-0, offline with 0 runs,/),
      ],
    });
  });

  test("none is chosen if several offline ones have runs; an id names one", async () => {
    const client = having([worker("a", false, 1), worker("b", false, 1)]);
    expect(await caught(vanished(client))).toMatchObject({ code: "ambiguous" });
    expect(await vanished(client, "b")).toMatchObject({ id: "b" });
  });
});

test("a worker is found in a pool behind the first page", async () => {
  expect(await vanished(having([worker("far", false, 0)], LIMITS.pageRows + 1))).toMatchObject({ id: "far" });
});
