/** What the package of a new project says: all that runs, deploys and type-checks it. */
export function projectManifest({ name, towpath }: { name: string; towpath: string }) {
  return {
    name,
    private: true,
    type: "module",
    engines: { node: ">=22.18" },
    scripts: { dev: "towpath dev", deploy: "towpath deploy", typecheck: "tsc" },
    // zod tells its JSON Schema by itself from 4.2 on.
    dependencies: { towpath, zod: "^4.2.0" },
    devDependencies: { "@types/node": "^24.10.1", typescript: "^7.0.2" },
  };
}

/** What git should leave alone in a project. */
export const IGNORED: readonly string[] = ["node_modules/", ".towpath/", ".env"];

/** What git should also leave alone in a project without a .gitignore: data and databases that flows write. */
export const IGNORED_DATA: readonly string[] = ["/data/", "*.db", "*.duckdb", "*.sqlite", "*.sqlite3"];

/** The files of a new project beside its manifest, by path. */
export function projectFiles(name: string): Readonly<Record<string, string>> {
  return {
    "tsconfig.json": `{
  "compilerOptions": {
    "target": "es2024",
    "module": "nodenext",
    "types": ["node"],
    "strict": true,
    "noUncheckedIndexedAccess": true,
    "noEmit": true,
    "skipLibCheck": true,
    // Node runs these files as they are, by leaving their types out.
    "allowImportingTsExtensions": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true
  },
  "include": ["towpath.config.ts", "flows"]
}
`,
    "towpath.config.ts": `import { defineConfig, deployment, ociLayout } from "towpath/config";
import { hello } from "./flows/hello.ts";

export default defineConfig({
  project: "${name}",
  pool: "local",
  registry: ociLayout(".towpath/registry"),
  deployments: [
    deployment(hello),
    // With retries of the whole run. Keep "lost" only if the work can safely be done twice: a worker that is silent may still be
    // doing it.
    // deployment(hello, { retry: { limit: 2, causes: ["error", "timeout", "oom", "killed", "lost"] } }),
  ],
});
`,
    "flows/hello.ts": `import { artifact, flow, log, task } from "towpath";
import { z } from "zod";

const greet = task({ name: "greet", retries: 2 }, async (name: string) => \`Hello, \${name}!\`);

export const hello = flow(
  { name: "hello", input: z.object({ name: z.string().default("world") }) },
  async ({ name }) => {
    const greeting = await greet(name);
    log.info(greeting);
    await artifact.markdown({ key: "greeting", title: "Greeting", text: \`**\${greeting}**\` });
    return { greeting };
  },
);

// \`node flows/hello.ts name=Ada\` runs it right here, without any server.
await hello.runIfMain(import.meta);
`,
  };
}
