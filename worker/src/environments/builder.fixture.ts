/*
 * A process that builds one environment in a shared cache. Arguments: the JSON of the cache's folder, the folder of downloads, the
 * indexes, the lock and the folder of its code.
 */
import { openCodeCache } from "../code/index.ts";
import { bringEnvironment } from "./environments.ts";

const { cacheDir, downloads, indexes, environment, codeDir, path } = JSON.parse(process.argv[2] ?? "{}");
await bringEnvironment(
  {
    cache: await openCodeCache({ dir: cacheDir }),
    downloads,
    config: {
      npm: null,
      python: { interpreters: {}, indexes, environmentBytes: 2 ** 40 },
      environment: process.env,
    },
    env: { PATH: path },
  },
  { environment, codeDir, signal: new AbortController().signal },
);
