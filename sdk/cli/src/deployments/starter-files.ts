/** The files of a new project, by path. */
export function projectFiles(name: string): Readonly<Record<string, string>> {
  return {
    "package.json": `${JSON.stringify(
      {
        name,
        private: true,
        type: "module",
        engines: { node: ">=22.18" },
        scripts: { dev: "towpath dev", deploy: "towpath deploy" },
        dependencies: { towpath: "^0.1.0", zod: "^4.0.0" },
      },
      null,
      2,
    )}\n`,
    ".gitignore": "node_modules/\n.towpath/\n.env\n",
    "towpath.config.ts": `import { defineConfig, deployment, ociLayout } from "towpath/config";
import { hello } from "./flows/hello.ts";

export default defineConfig({
  project: "${name}",
  pool: "local",
  registry: ociLayout(".towpath/registry"),
  deployments: [deployment(hello)],
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
