import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { createGzip } from "node:zlib";
import { pack } from "tar-stream";

interface Published {
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly archive: Buffer;
  readonly integrity: string;
}

/** A small npm registry: packages and their archives, with a login if it has a token. */
export class NpmRegistry implements AsyncDisposable {
  readonly asked: string[] = [];
  /** The `Authorization` that requests must have. */
  authorization: string | undefined;
  readonly #packages = new Map<string, Published>();
  readonly #server = createServer((request, answer) => {
    const path = decodeURIComponent(request.url ?? "");
    this.asked.push(path);
    if (request.headers.authorization !== this.authorization) return void answer.writeHead(401).end("{}");
    const [, name = "", archive] = /^\/npm\/(.+?)(\/-\/.+\.tgz)?$/.exec(path) ?? [];
    const found = this.#packages.get(name);
    if (found === undefined) return void answer.writeHead(404).end("{}");
    if (archive !== undefined) return void answer.end(found.archive);
    const version = String(found.manifest.version);
    const dist = { tarball: `${this.url}${name}/-/x-${version}.tgz`, integrity: found.integrity };
    answer.writeHead(200, { "content-type": "application/json" });
    answer.end(
      JSON.stringify({
        name,
        "dist-tags": { latest: version },
        versions: { [version]: { ...found.manifest, dist } },
      }),
    );
  });

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/npm/`;
  }

  /** Publishes version 1.0.0 of a package. @returns Its entry in a lock. */
  async publish(name: string, files: Readonly<Record<string, string>>, more: object = {}) {
    const manifest = { name, version: "1.0.0", main: "index.js", ...more };
    const archive = pack();
    for (const [path, text] of Object.entries({ "package.json": JSON.stringify(manifest), ...files }))
      archive.entry({ name: `package/${path}` }, text);
    archive.finalize();
    const bytes = await buffer(archive.pipe(createGzip()));
    const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    this.#packages.set(name, { manifest, archive: bytes, integrity });
    return { version: "1.0.0", integrity, ...more };
  }

  async [Symbol.asyncDispose]() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}
