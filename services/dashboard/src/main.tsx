import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RunList } from "./runs/run-list.tsx";
import { RunPage } from "./runs/run-page.tsx";
import "./app.css";

function Screen({ path }: { path: string }) {
  const runId = /^\/runs\/([0-9a-f-]{36})$/.exec(path)?.[1];
  if (runId) return <RunPage runId={runId} />;
  if (path === "/" || path === "/runs") return <RunList />;
  return (
    <p className="failure">
      There is nothing at this address. <a href="/">All runs</a>
    </p>
  );
}

const root = document.getElementById("app");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <nav className="top">
        <a href="/" className="brand">
          <img src="/favicon.svg" alt="" width="22" height="22" /> Towpath
        </a>
        <a href="/">Runs</a>
      </nav>
      <main>
        <Screen path={window.location.pathname} />
      </main>
    </StrictMode>,
  );
}
