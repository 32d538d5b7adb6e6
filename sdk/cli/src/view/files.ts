import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Failure } from "../failure.ts";
import { DASHBOARD } from "./places.ts";

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/** A file of the dashboard. */
export interface DashboardFile {
  readonly type: string;
  readonly body: Buffer;
}

/** The files of the installed dashboard by their path, and its page. */
export interface Dashboard {
  readonly page: DashboardFile;
  readonly files: ReadonlyMap<string, DashboardFile>;
}

/** The folders whose files browsers ask for. `.vite` has the build's own. */
const SERVED = ["", "assets", "tab"];

/**
 * Reads the whole dashboard, which has about fifty files. Requests are answered from this list alone, so no path leaves the folder.
 * @param args.keysPath the path of the workspace keys, which the page asks for
 * @throws Failure if this installation has none.
 */
export async function readDashboard(args: { keysPath: string }): Promise<Dashboard> {
  const root = fileURLToPath(DASHBOARD);
  const files = new Map<string, DashboardFile>();
  for (const folder of SERVED) {
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const type = MEDIA_TYPES[extname(entry.name)];
      if (type === undefined || !entry.isFile()) continue;
      const path = ["", ...(folder === "" ? [] : [folder]), entry.name].join("/");
      files.set(path, { type, body: await readFile(join(root, folder, entry.name)) });
    }
  }
  const page = files.get("/index.html");
  if (page === undefined)
    throw new Failure("The dashboard is missing from this installation of towpath.", {
      exit: "configuration",
      code: "not-installed",
      next: ["install it again: `npm install towpath`", "or build it in a checkout: `npm run build`"],
    });
  const html = page.body
    .toString("utf8")
    .replace("</head>", `<meta name="towpath-view" content="${args.keysPath}"></head>`);
  return { page: { ...page, body: Buffer.from(html) }, files };
}
