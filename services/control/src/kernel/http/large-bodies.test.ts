import { Problem, ROUTES } from "@towpath/contract";
import { Hono } from "hono";
import { expect, test } from "vitest";
import { readInput } from "./input.ts";
import { openLargeBodies, readMsOf } from "./large-bodies.ts";

const MIB = 1024 * 1024;
const codeOf = (error: unknown) => (error instanceof Problem ? error.code : error);

/** Large requests of one workspace, the first four of which are being served. */
function crowded(bodies: ReturnType<typeof openLargeBodies>) {
  const held = Promise.withResolvers<string>();
  const send = (serve: () => Promise<string>, left = new AbortController().signal) =>
    bodies.during({ workspaceId: "w", bytes: 2 * MIB, left: () => left }, serve).catch(codeOf);
  const holders = Array.from({ length: 4 }, () => send(() => held.promise));
  return { send, end: () => held.resolve("held"), holders };
}

test("a large request that waits too long is refused", async () => {
  const { send, end, holders } = crowded(openLargeBodies({ waitMs: 1 }));
  expect(await send(async () => "served")).toBe("too-many-requests");
  end();
  expect(await Promise.all(holders)).toEqual(Array(4).fill("held"));
});

test("a large request whose caller has left is not served, and the next one is", async () => {
  const { send, end } = crowded(openLargeBodies());
  const [leaving, served] = [new AbortController(), [] as string[]];
  const serve = (name: string) => async () => {
    served.push(name);
    return name;
  };
  const answers = [send(serve("gone"), leaving.signal), send(serve("next"))];
  const goneBefore = send(serve("gone before"), AbortSignal.abort());
  leaving.abort();
  expect([await answers[0], await goneBefore]).toEqual(["too-many-requests", "too-many-requests"]);
  end();
  expect([await answers[1], served]).toEqual(["next", ["next"]]);
});

test.each(["2", undefined])("a slow body is refused, with a length announced as %s", async (length) => {
  const app = new Hono();
  app.post("/", async (c) => {
    const address = { params: {}, query: {}, faults: [], readMs: 1 };
    const error = await readInput(c, ROUTES.createRuns, address).catch((thrown: unknown) => thrown);
    return c.json([codeOf(error), c.get("headers").connection]);
  });
  const headers = { "content-type": "application/json", ...(length && { "content-length": length }) };
  const init = { method: "POST", headers, body: new ReadableStream(), duplex: "half" };
  const answer = await app.request(new Request("http://here/", init as RequestInit));
  expect(await answer.json()).toEqual(["too-many-requests", "close"]);
});

test("only a large body has a time limit, and a very large one has longer", () => {
  expect([MIB, 2 * MIB, 16 * MIB].map(readMsOf)).toEqual([null, 15_000, 32_768]);
});
