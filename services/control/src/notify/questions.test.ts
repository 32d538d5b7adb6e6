import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type AskedWait, CreateNotifier, derivedId, Notice } from "@towpath/contract";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { call, cancelRun, createRun } from "../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { questionPeriodicJob } from "./derive.ts";
import { bodyOf } from "./notice.ts";
import { createNotifier, listDeliveries } from "./notifiers.ts";
import { sendPeriodicJob } from "./send.ts";
import { selectQuestions } from "./store.ts";

const PUBLIC_URL = "https://towpath.example";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const question = {
  kind: "input",
  title: "Publish?",
  schema: { type: "boolean" },
  who: "operator",
} as const satisfies AskedWait;

let testEnv: TestEnv;
let tenancy: Tenancy;
let received: { path: string; body: unknown }[] = [];
const receiver = createServer((request, response) => {
  let text = "";
  request.on("data", (part: Buffer) => {
    text += part.toString();
  });
  request.on("end", () => {
    received.push({ path: request.url ?? "", body: JSON.parse(text) });
    response.writeHead(204).end();
  });
});
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase(), { notifyPrivate: true, publicUrl: PUBLIC_URL });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
});
beforeEach(async () => {
  await testEnv.deps.database.db.execute(sql`delete from notifier`);
  tenancy = await openTenancy(testEnv);
  received = [];
});
afterAll(async () => {
  await new Promise((resolve) => receiver.close(resolve));
  await testEnv.close();
});

const notifier = (over: Partial<CreateNotifier> = {}, of = tenancy) =>
  createNotifier(testEnv.deps, {
    scope: of.scope,
    input: CreateNotifier.parse({
      name: "approvers",
      url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/${over.name ?? "approvers"}`,
      events: ["question"],
      ...over,
    }),
  });

/** A run at work that can ask. */
async function started(parameters: { [name: string]: string } = {}) {
  const { deps } = testEnv;
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(deps, tenancy.scope, tenancy.request({ parameters }));
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const { attemptId, epoch, nonce } = given;
  return {
    id,
    async ask(path: string, wait: AskedWait) {
      const request = { attemptId, epoch, nonce, callId: await derivedId(id, path) };
      await call(deps, fakeWorker.worker, { ...request, call: { kind: "wait", path, wait } });
    },
    cancel: () => cancelRun(deps, tenancy.scope, { runId: id, reason: "" }),
    end: () => fakeWorker.report(given, [records.ended("cancelled")], { from: 2 }),
  };
}

/** Runs everything that is due. */
async function settle(): Promise<void> {
  while ((await questionPeriodicJob.runOnce(testEnv.deps)).worked);
  while ((await sendPeriodicJob.runOnce(testEnv.deps)).worked);
}

const notices = () => received.map(({ body }) => Notice.parse(body));
const deliveries = async (of = tenancy) =>
  (await listDeliveries(testEnv.deps, { scope: of.scope, limit: 50 })).items;
const asking = (fields: Partial<Extract<AskedWait, { kind: "input" }>>) => ({ ...question, ...fields });

describe("an open question", () => {
  test("is sent with its title and links, without the schema of the answer and without parameters", async () => {
    await notifier();
    const flow = await started({ model: "oak-7f3a" });
    const fields = {
      type: "object",
      properties: { approve: { type: "boolean" }, reason: { type: "string" } },
    };
    await flow.ask("ok", asking({ title: "Publish?", schema: fields, deadlineMs: HOUR_MS }));
    await settle();
    const waitId = await derivedId(flow.id, "ok");
    const url = `${PUBLIC_URL}/runs/${flow.id}?question=${waitId}`;
    expect(notices()).toMatchObject([
      {
        event: "question",
        run: { id: flow.id, deployment: "flow", state: "running" },
        question: {
          id: waitId,
          title: "Publish?",
          who: "operator",
          deadlineAt: new Date(testEnv.clock.nowMs() + HOUR_MS).toISOString(),
          url,
          approveUrl: `${url}&choice=approve`,
          rejectUrl: `${url}&choice=reject`,
        },
      },
    ]);
    expect(JSON.stringify(received)).not.toMatch(/oak-7f3a|reason|properties/);
    expect(await deliveries()).toMatchObject([{ event: "question", runId: flow.id, state: "sent" }]);
  });

  test("is sent once to each notifier, by any number of rounds and processes, and so is the next of the run", async () => {
    await notifier();
    await notifier({ name: "team" });
    const flow = await started();
    await flow.ask("first", question);
    await Promise.all([1, 2, 3].map(() => questionPeriodicJob.runOnce(testEnv.deps)));
    await settle();
    await flow.ask("second", asking({ title: "And now?" }));
    await settle();
    await settle();
    expect(received.map(({ path }) => path).sort()).toEqual(["/approvers", "/approvers", "/team", "/team"]);
    expect(
      notices()
        .map((notice) => notice.question?.title)
        .sort(),
    ).toEqual(["And now?", "And now?", "Publish?", "Publish?"]);
  });

  test("is queued again after a round that was rolled back", async () => {
    await notifier();
    const { db } = testEnv.deps.database;
    await db.execute(sql`alter table notifier_delivery add constraint broken check (false) not valid`);
    await (await started()).ask("ok", question);
    await questionPeriodicJob.runOnce(testEnv.deps);
    expect(await deliveries()).toEqual([]);
    await db.execute(sql`alter table notifier_delivery drop constraint broken`);
    await db.execute(sql`delete from poisoned_row`);
    await settle();
    expect(received).toHaveLength(1);
  });

  test("is not sent if it is no longer open, was asked before the notifier existed, or is a week old", async () => {
    const early = await started();
    await early.ask("ok", question);
    testEnv.clock.advance(1_000);
    await notifier();
    const over = await started();
    await over.ask("ok", question);
    await over.cancel();
    await over.end();
    await settle();
    expect(received).toEqual([]);
    const old = await started();
    await old.ask("ok", question);
    testEnv.clock.advance(8 * DAY_MS);
    await settle();
    expect(received).toEqual([]);
  });

  test("is not searched again and again if its run is gone", async () => {
    await notifier();
    const gone = await started();
    await gone.ask("ok", question);
    const { deps } = testEnv;
    await deps.database.db.execute(sql`delete from run where id = ${gone.id}`);
    const all = { limit: 10, among: () => sql`true` };
    expect(await selectQuestions(deps.database.db, deps.clock, all)).toEqual([]);
    await (await started()).ask("ok", asking({ title: "And now?" }));
    await settle();
    expect(notices().map((notice) => notice.question?.title)).toEqual(["And now?"]);
  });

  test("is sent for its deployment and workspace alone, and only to notifiers of questions", async () => {
    const other = await openTenancy(testEnv);
    await notifier({ name: "theirs" }, other);
    await notifier({ name: "failures", events: ["failure"] });
    const flow = await started();
    await flow.ask("ok", question);
    await settle();
    expect(received).toEqual([]);
    expect(await deliveries(other)).toEqual([]);
    testEnv.clock.advance(1_000);
    await notifier({ name: "mine", deployment: "flow" });
    await flow.ask("next", question);
    await settle();
    expect(received.map(({ path }) => path)).toEqual(["/mine"]);
  });
});

describe("a question in Slack", () => {
  const asked = (over: object = {}) => {
    const url = "https://towpath.example/runs/r?question=q";
    const base = {
      id: "q",
      title: "<Publish> & go?",
      who: "operator" as const,
      askedAt: "",
      deadlineAt: null,
    };
    const links = { url, approveUrl: `${url}&choice=approve`, rejectUrl: `${url}&choice=reject` };
    const run = {
      id: "0199a000-0000-7000-8000-00000000000a",
      name: null,
      deployment: "churn@prod",
      version: 1,
      state: "suspended" as const,
      cause: null,
      scheduledAt: "",
      startedAt: null,
      endedAt: null,
      url: "https://towpath.example/runs/r",
    };
    const notice = { id: "n", event: "question" as const, at: "", workspace: "w", run };
    return JSON.parse(bodyOf("slack", { ...notice, question: { ...base, ...links, ...over } }));
  };

  test("has two link buttons if it is answered with yes or no, and a text with the same links", () => {
    const message = asked();
    const [section, actions] = message.blocks;
    expect(section.text.text).toContain("*churn@prod* asks: *&lt;Publish&gt; &amp; go?*");
    expect(actions.elements).toEqual([
      {
        type: "button",
        text: { type: "plain_text", text: "Approve" },
        url: "https://towpath.example/runs/r?question=q&choice=approve",
        style: "primary",
      },
      {
        type: "button",
        text: { type: "plain_text", text: "Reject" },
        url: "https://towpath.example/runs/r?question=q&choice=reject",
        style: "danger",
      },
    ]);
    expect(message.text).toContain(
      "<https://towpath.example/runs/r?question=q&choice=approve|Approve> · <https://towpath.example/runs/r?question=q&choice=reject|Reject>",
    );
  });

  test("has one button otherwise", () => {
    const { blocks } = asked({ approveUrl: null, rejectUrl: null });
    expect(blocks[1].elements).toMatchObject([{ text: { text: "Answer" } }]);
    expect(blocks[1].elements).toHaveLength(1);
  });
});
