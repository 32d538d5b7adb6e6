import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import type { Attack } from "../attack.ts";
import { startElsewhere } from "../elsewhere.ts";
import type { Lie, Verb } from "../liar.ts";
import type { Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import { besideRun } from "./beside.ts";

/** The verbs that a worker sends all the time while it has a run. */
const LOOPS = ["claim", "renew", "report", "tendJobs"] as const satisfies Verb[];

/** Tells every loop of the worker a lie, and waits until it asks again. A run meanwhile goes on. */
function toEveryLoop(
  name: string,
  args: { tries: string; lies: (verb: Verb) => readonly Lie[]; verbs?: readonly Verb[] },
): Attack {
  const verbs = args.verbs ?? LOOPS;
  const play = (stage: Stage) =>
    besideRun(stage, name, async () => {
      await Promise.all(
        verbs.map(async (verb) => {
          for (const lie of args.lies(verb)) {
            await stage.whileAlive(stage.liar.lie(verb, lie));
            await stage.asksAgain(verb);
          }
        }),
      );
      return held("the worker discarded the answers, and asked again");
    });
  return {
    name,
    group: "answers",
    tries: args.tries,
    fields: verbs.map((verb) => `${verb}.*`),
    play,
    isAlone: true,
  };
}

function text(body: string, type = "application/json", status = 200): Lie {
  return { raw: (response) => void response.writeHead(status, { "content-type": type }).end(body) };
}

const DEPTH = 200_000;
const BOMB_BYTES = 200 * 1024 * 1024;

const MALFORMED = toEveryLoop("malformed-answers", {
  tries: "Answers with HTML, nothing, half an answer, other JSON, and 200,000 levels of it",
  lies: (verb) => [
    text("<html><body>hello</body></html>", "text/html"),
    text(""),
    text("null"),
    text("[]"),
    text('"text"'),
    text("{}"),
    text('{"assignments":[{"spec":'),
    text(`${"[".repeat(DEPTH)}${"]".repeat(DEPTH)}`),
    text(`{"a":${"[".repeat(DEPTH)}`),
    text('{"__proto__":{"liar":1},"constructor":{"prototype":{"liar":1}}}'),
    {
      raw: (response) =>
        void response.writeHead(200, { "content-length": "1000" }).end("{", () => response.destroy()),
    },
    { raw: (response) => response.destroy() },
    { raw: (response) => void response.writeHead(204).end() },
    ...(verb === "claim" ? [text('{"assignments":{"length":1e9},"commands":[],"superseded":false}')] : []),
  ],
});

const STATUSES = toEveryLoop("problem-answers", {
  tries: "Answers with problems that do not exist, with long texts, and with a pause of a year",
  lies: () => [
    text(JSON.stringify(problem("liar", 400)), "application/problem+json", 400),
    text(JSON.stringify(problem("toString", 409)), "application/problem+json", 409),
    text("<html>", "text/html", 418),
    text("", "text/plain", 500),
    text(JSON.stringify({ code: {}, detail: [] }), "application/problem+json", 503),
    {
      raw: (response) =>
        void response
          .writeHead(503, { "content-type": "application/problem+json", "retry-after": "31536000" })
          .end(JSON.stringify(problem("unavailable", 503))),
    },
  ],
});

function problem(code: string, status: number): object {
  const detail = "x".repeat(100_000);
  return { type: "about:blank", title: "liar", status, code, detail, instance: "/", retryable: true };
}

const BOMB = toEveryLoop("compressed-bomb", {
  tries: "Answers with 200 MiB of JSON, compressed to 200 KiB",
  lies: () => [
    {
      raw: (response) => {
        const bytes = gzipSync(Buffer.alloc(BOMB_BYTES, 0x20));
        response
          .writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" })
          .end(bytes);
      },
    },
  ],
  verbs: ["claim"],
});

/** More than the worker reads of any answer. */
const ENDLESS_BYTES = 160 * 1024 * 1024;
const BLOCK = Buffer.alloc(1024 * 1024, 0x20);

/** Writes until the worker hangs up. Calls back with the number of bytes that it took. */
function writeEndlessly(response: ServerResponse, took: (bytes: number) => void): void {
  let bytes = 0;
  const more = () => {
    while (bytes < ENDLESS_BYTES && !response.destroyed) {
      bytes += BLOCK.length;
      if (!response.write(BLOCK)) return;
    }
    if (bytes >= ENDLESS_BYTES) response.end();
  };
  response.on("drain", more);
  response.once("close", () => took(bytes));
  response.writeHead(200, { "content-type": "application/json" });
  more();
}

const ENDLESS: Attack = {
  name: "endless-answer",
  group: "answers",
  tries: "Answers each verb with a body that does not end",
  fields: LOOPS.map((verb) => `${verb}.*`),
  isAlone: true,
  play: (stage) =>
    besideRun(stage, ENDLESS.name, async () => {
      const taken: number[] = [];
      const took = (bytes: number) => void taken.push(bytes);
      for (const verb of LOOPS) {
        await stage.whileAlive(stage.liar.lie(verb, { raw: (response) => writeEndlessly(response, took) }));
        await stage.asksAgain(verb);
      }
      const most = Math.max(...taken);
      if (most >= ENDLESS_BYTES) return broken(`the worker read ${most} bytes`);
      return held(`the worker hung up after at most ${Math.ceil(most / BLOCK.length)} MiB`);
    }),
};

const HEADERS = toEveryLoop("long-headers", {
  tries: "Answers with 1 MiB of headers, and with headers of other protocols",
  lies: () => [
    {
      raw: (response) => {
        response.socket?.end(`HTTP/1.1 200 OK\r\nx-liar: ${"x".repeat(1024 * 1024)}\r\n\r\n{}`);
      },
    },
    {
      raw: (response) =>
        void response.socket?.end("HTTP/1.1 101 Switching Protocols\r\nupgrade: liar\r\n\r\n"),
    },
    { raw: (response) => void response.socket?.end("SSH-2.0-liar\r\n") },
  ],
});

const REDIRECTS: Attack = {
  name: "redirects",
  group: "answers",
  tries: "Redirects each verb, and the exchange of the worker's key, to another host",
  fields: [...LOOPS, "openSession"].map((verb) => `${verb}.*`),
  isAlone: true,
  play: (stage) => besideRun(stage, REDIRECTS.name, () => redirectAll(stage)),
};

async function redirectAll(stage: Stage): Promise<Verdict> {
  await using elsewhere = await startElsewhere();
  const redirect = (status: number): Lie => ({
    raw: (response) => void response.writeHead(status, { location: `${elsewhere.url}/steal` }).end(),
  });
  for (const verb of LOOPS)
    for (const status of [301, 302, 303, 307, 308]) {
      await stage.whileAlive(stage.liar.lie(verb, redirect(status)));
      await stage.asksAgain(verb);
    }
  stage.liar.expireSessions();
  for (const status of [302, 307, 308])
    await stage.whileAlive(stage.liar.lie("openSession", redirect(status)));
  await stage.asksAgain("claim");
  const [stolen] = elsewhere.heard;
  return stolen === undefined
    ? held("the other host heard nothing")
    : broken(`the other host heard ${stolen}`);
}

const BAD_TOKENS = ["a\r\nx-liar: 1", "a\nb", "\u0000", "ü€", "x".repeat(60_000), ""];

const SESSIONS: Attack = {
  name: "session-answers",
  group: "answers",
  tries: "Opens sessions with line breaks in the token, giant tokens, unknown protocols and broken numbers",
  fields: [
    "token",
    "expiresInMs",
    "renewIntervalMs",
    "workspaceId",
    "poolId",
    "incarnation",
    "protocol",
    "sealed",
  ].map((field) => `openSession.${field}`),
  isAlone: true,
  async play(stage) {
    const forms = [
      ...BAD_TOKENS.map((token) => ({ token, expiresInMs: 200 })),
      ...[-1, 1.5, 1e308, "600000", null].map((expiresInMs) => ({ expiresInMs })),
      ...[-1, 1e308, null].map((renewIntervalMs) => ({ renewIntervalMs })),
      ...["../../x", "", 7, null].flatMap((id) => [{ workspaceId: id }, { poolId: id }, { incarnation: id }]),
      ...["latest", 1.5, null].map((protocol) => ({ protocol })),
      ...["no", 0, null].map((sealed) => ({ sealed })),
    ];
    let injected = 0;
    stage.liar.onHeaders = (headers) => {
      if (Object.hasOwn(headers, "x-liar")) injected += 1;
    };
    for (const form of forms) {
      stage.liar.expireSessions();
      await stage.whileAlive(stage.liar.lie("openSession", { body: (honest) => ({ ...honest, ...form }) }));
      // The next session is honest: those of a strange token are short.
      await stage.asksAgain("claim");
    }
    stage.liar.onHeaders = () => undefined;
    if (injected > 0) return broken("the worker sent a header of the liar's");
    return held("the worker used no such token, and opened an honest session each time");
  },
};

/** Control characters in every text that the worker may print. */
const ESCAPES = "\u001b]0;liar\u0007\u001b[2J\u009b31m\u202e\r\nfatal forged line";

const TERMINAL: Attack = {
  name: "terminal-escapes",
  group: "answers",
  tries: "Writes escape sequences into every text that the worker may log",
  fields: [
    "claim.commands[].reason",
    "claim.assignments[].trigger.name",
    "report.attempts[].rejected[].*",
    "problem.*",
  ],
  isAlone: true,
  play: (stage) => besideRun(stage, TERMINAL.name, () => writeEscapes(stage)),
};

async function writeEscapes(stage: Stage): Promise<Verdict> {
  const marker = `${TERMINAL.name}-named`;
  const trigger = { kind: "person", name: ESCAPES };
  const given = stage.give(
    stage.assignment(stage.sign(stage.spec(marker)), { deployment: marker, trigger }),
    marker,
  );
  const rejected = [{ lane: "bulk", seq: 1, code: ESCAPES, detail: ESCAPES }];
  await stage.whileAlive(
    stage.liar.lie("report", {
      body: ({ attempts, ...honest }) => ({
        ...honest,
        attempts: (attempts as object[]).map((one) => ({ ...one, rejected })),
      }),
    }),
  );
  await given;
  for (const verb of LOOPS) {
    const body = { ...problem("unavailable", 503), detail: ESCAPES, title: ESCAPES };
    await stage.whileAlive(stage.liar.lie(verb, text(JSON.stringify(body), "application/problem+json", 503)));
    await stage.asksAgain(verb);
  }
  const log = await stage.log();
  if (!log.includes("forged line")) return broken("the log shows none of the texts, so nothing was tried");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what it must find.
  const found = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]|^fatal/m.exec(log);
  return found === null
    ? held("the log has none of the characters")
    : broken("the log has them as they came");
}

/** Attacks by answers that are no honest answers. */
export const ANSWER_ATTACKS: readonly Attack[] = [
  MALFORMED,
  STATUSES,
  BOMB,
  ENDLESS,
  HEADERS,
  REDIRECTS,
  SESSIONS,
  TERMINAL,
];
