import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** What the contract says of its fields is for the reference; browsers would fetch it for nothing. */
const DESCRIPTIONS = /\s*\.describe\(\s*(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`$]*`),?\s*\)/g;

const withoutDescriptions: Plugin = {
  name: "towpath:without-descriptions",
  apply: "build",
  enforce: "pre",
  transform: (code, id) =>
    id.includes("/sdk/contract/src/") ? { code: code.replace(DESCRIPTIONS, ""), map: null } : null,
};

/** No page makes the calls of workers: without them in the table, their shapes need not be fetched by each browser. */
const withoutWorkerRoutes: Plugin = {
  name: "without-worker-routes",
  load: (id) =>
    id.endsWith("/contract/src/worker/routes.ts") ? "export const WORKER_ROUTES = {};" : undefined,
};

export default defineConfig({
  plugins: [withoutDescriptions, withoutWorkerRoutes, react(), tailwindcss()],
  // Inlined modules and data URLs would need exceptions in the content security policy.
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: true,
    manifest: true,
  },
});
