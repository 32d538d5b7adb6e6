import { randomBytes } from "node:crypto";
import { Ref } from "@towpath/contract";
import { z } from "zod";
import { answersIn, type Spoken, speakerCommand } from "./canary.ts";
import type { Offer } from "./offer.ts";
import type { Stage } from "./stage.ts";
import { broken, held, type Verdict } from "./verdict.ts";
import type { Wire } from "./wire.ts";

const HALF = 32;
/** Half of a ref's hash that says nothing. */
export const ZEROS = "0".repeat(HALF);
/** Some instant. */
export const AT = "2026-01-01T00:00:00.000Z";

/** A ref as an engine writes it, before its worker signs it. */
export function newRef(stage: Stage): Ref {
  const uri = `file://${stage.ground.folder}/store/values/${stage.liar.id()}`;
  return { uri, codec: "json", sizeBytes: 2, sha256: randomBytes(HALF / 2).toString("hex") + ZEROS };
}

/**
 * Every way to change a signed ref. Each keeps its MAC, apart from those that have none.
 * @param url An address that hears it when somebody loads the ref.
 */
export function changed(honest: Ref, url: string): Ref[] {
  const { uri, sizeBytes, sha256 } = honest;
  const [content, mac] = [sha256.slice(0, HALF), sha256.slice(HALF)];
  const uris = ["file:///etc/passwd", `${url}/value`, "s3://liar/value", `${uri}/../other`, "", "../../x"];
  const hashes = [
    content + ZEROS,
    ZEROS + mac,
    mac + content,
    content + mac.replace(/.$/, (digit) => (digit === "0" ? "1" : "0")),
    content + randomBytes(HALF / 2).toString("hex"),
    "0".repeat(2 * HALF),
  ];
  return [
    ...uris.map((other) => ({ ...honest, uri: other })),
    ...["text", "bytes", "pickle"].map((codec) => ({ ...honest, codec })),
    ...[0, sizeBytes + 1].map((bytes) => ({ ...honest, sizeBytes: bytes })),
    ...hashes.map((other) => ({ ...honest, sha256: other })),
    { uri: `${url}/value`, codec: "json", sizeBytes: 2, sha256: randomBytes(HALF).toString("hex") },
  ];
}

/** A call of the run protocol. */
export const call = (path: string, asked: Wire): Spoken => [
  "POST",
  "/calls",
  JSON.stringify({ path, call: asked }),
];
/** Records of the run protocol, numbered from 1. */
export const records = (list: readonly Wire[]): Spoken => {
  const lines = list.map((one, index) => JSON.stringify({ seq: index + 1, at: AT, ...one }));
  return ["POST", "/records", `${lines.join("\n")}\n`, "application/x-ndjson"];
};

/** The same request so many times. */
export const repeated = ([method, path, body = "", type = ""]: Spoken, times: number): Spoken => [
  method,
  path,
  body,
  type,
  times,
];

/** The records of a completed task call. */
export function completed(path: string, result: Ref): Wire[] {
  const facts = { type: "task", path, name: path, inputHash: "0123456789abcdef", codeVersion: "one" };
  return [
    { ...facts, move: "queue", tries: 0 },
    { ...facts, move: "begin", tries: 1 },
    { ...facts, move: "complete", tries: 1, result },
  ];
}

/** Starts a run of this deployment that sends these requests to its worker. */
export function speaks(stage: Stage, name: string, requests: readonly Spoken[], more: object = {}): Offer {
  const entry = { kind: "command" as const, argv: speakerCommand(requests) };
  return stage.liar.offer(
    stage.assignment(stage.sign(stage.spec(name, { entry, ...more })), { deployment: name }),
  );
}

/** What the worker told its flow, in the order of the requests. */
export async function toldTo(stage: Stage, offer: Offer): Promise<string[]> {
  await stage.whileAlive(stage.liar.until("the flow has ended", () => offer.isOver));
  return answersIn(offer.lines);
}

/** The signed ref in a record that matches. @throws Failure if the worker does not report it. */
export async function reported(stage: Stage, offer: Offer, fields: Wire): Promise<Ref> {
  const find = () =>
    offer.control.find(
      (record) =>
        "result" in record && Object.entries(fields).every(([name, value]) => record[name] === value),
    );
  await stage.liar.until("the worker reports a signed ref", () => find() !== undefined);
  return Ref.parse(find()?.result);
}

interface Lied {
  /** The answer that the flow got after this lie. */
  readonly answer: string;
  readonly index: number;
}

/** Whether what reached the flow is right: nothing of each lie, and the honest answer after all of them. */
export function judged(args: {
  readonly answers: readonly string[];
  readonly isRefused: (answer: string) => boolean;
  readonly isHonest: (answer: string) => boolean;
  readonly heard: readonly string[];
}): Verdict {
  const lies: Lied[] = args.answers.slice(0, -1).map((answer, index) => ({ answer, index }));
  const taken = lies.find(({ answer }) => !args.isRefused(answer));
  if (taken !== undefined) return broken(`lie ${taken.index + 1} reached the flow: ${taken.answer}`);
  const last = args.answers.at(-1) ?? "";
  if (!args.isHonest(last)) return broken(`an honest ref did not reach the flow: ${last}`);
  const [stray] = args.heard;
  if (stray !== undefined) return broken(`somebody loaded a chosen address: ${stray}`);
  return held(`none of ${lies.length} lies reached the flow, and the honest ref after them did`);
}

/** An answer with a ref. */
export const Refs = z.object({ result: Ref.nullable() });
/** A page of checkpoints. */
export const Page = z.object({ items: z.array(Refs), waits: z.array(z.unknown()).optional() });

/** The JSON of an answer with status 200. */
export function bodyOf<T>(answer: string, schema: z.ZodType<T>): T | null {
  if (!answer.startsWith("200 ")) return null;
  return schema.safeParse(JSON.parse(answer.slice("200 ".length))).data ?? null;
}

/** Whether a ref is the honest one as a flow gets it: without the MAC. */
export const isOf = (ref: Ref | null | undefined, honest: Ref) =>
  ref?.uri === honest.uri && ref.sha256 === honest.sha256.slice(0, HALF) + ZEROS;
