/**
 * The thread of a watchdog, as plain JavaScript for `new Worker(text, { eval: true })`. A bundle of a flow has no
 * separate file for it, and importing the bundle would run the user's modules again.
 *
 * It receives `{ id, afterMs, report }` to start a timer and `{ id }` to stop it. When a timer fires, the main thread
 * is blocked. The thread then asks the main thread's debugger for its position, reports the failure of the task and of
 * the run, and kills the process.
 */
export const WATCHDOG_THREAD = `
const { workerData, parentPort } = require("node:worker_threads");
const { gateway, reportMs, own, here } = workerData;
const timers = new Map();
const urls = new Map();

parentPort.on("message", ({ id, afterMs, report }) => {
  clearTimeout(timers.get(id));
  timers.delete(id);
  if (report) timers.set(id, setTimeout(() => end(report), afterMs));
});

/** The position in the author's source, if there is a source map. */
function positionOf({ location: { scriptId, lineNumber, columnNumber = 0 } }) {
  const url = urls.get(scriptId) ?? "";
  try {
    const { readFileSync } = require("node:fs");
    const { SourceMap } = require("node:module");
    const { fileURLToPath } = require("node:url");
    const map = new SourceMap(JSON.parse(readFileSync(fileURLToPath(url) + ".map", "utf8")));
    const found = map.findEntry(lineNumber, columnNumber);
    if (found.originalSource)
      return new URL(found.originalSource, url).href + ":" + (found.originalLine + 1) + ":" + (found.originalColumn + 1);
  } catch {}
  return url + ":" + (lineNumber + 1) + ":" + (columnNumber + 1);
}

function isUsers(place) {
  if (place.startsWith("node:") || place.startsWith(":")) return false;
  return new RegExp(own.tests).test(place) || !(place.includes(own.folder) || new RegExp(own.paths).test(place));
}

function frameOf(frame) {
  const place = positionOf(frame);
  return isUsers(place) ? ["    at " + (frame.functionName || "<anonymous>") + " (" + place.replace(here, "") + ")"] : [];
}

function framesOfMain() {
  return new Promise((resolve) => {
    setTimeout(() => resolve([]), reportMs / 2);
    try {
      const session = new (require("node:inspector").Session)();
      session.connectToMainThread();
      session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
      session.on("Debugger.paused", ({ params }) => resolve(params.callFrames.flatMap(frameOf)));
      session.post("Debugger.enable");
      session.post("Debugger.pause");
    } catch {
      resolve([]);
    }
  });
}

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const { request } = require("node:http");
    const headers = { authorization: gateway.authorization, "content-type": "application/x-ndjson" };
    const sent = request({ socketPath: gateway.socket, method, path, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => resolve(text)).on("error", reject);
    });
    sent.on("error", reject).end(body);
  });
}

async function tell({ path, name, tries, message }) {
  const stack = ["TaskTimeout: " + message, ...(await framesOfMain())].join("\\n");
  const error = { name: "TaskTimeout", message, stack };
  if (!gateway) return void require("node:fs").writeSync(2, stack + "\\n");
  const at = new Date().toISOString();
  const { acked } = JSON.parse(await ask("GET", "/context"));
  const records = [
    { seq: acked + 1, type: "task", at, path, name, move: "fail", tries, error },
    { seq: acked + 2, type: "outcome", at, outcome: "failed", cause: "timeout", failedBy: [path], error },
  ];
  await ask("POST", "/records", records.map((record) => JSON.stringify(record) + "\\n").join(""));
}

function end(report) {
  const kill = () => process.kill(process.pid, "SIGKILL");
  setTimeout(kill, reportMs);
  tell(report).then(kill, kill);
}
`;
