import { X } from "lucide-react";
import { type FormEvent, useState } from "react";
import { type RunSearch, SEARCH_WORDS } from "./search.ts";
import { dropView, saveView, useViews } from "./views.ts";

function isSame(one: RunSearch, other: RunSearch): boolean {
  return SEARCH_WORDS.every((word) => one[word] === other[word]);
}

/** The saved views, and a button that saves the current search. */
export function ViewBar({ search, onOpen }: { search: RunSearch; onOpen: (search: RunSearch) => void }) {
  const views = useViews();
  const [naming, setNaming] = useState(false);
  const isNarrowed = SEARCH_WORDS.some((word) => search[word] !== undefined);
  const isKept = views.some((view) => isSame(view.search, search));
  const save = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name") ?? "").trim();
    if (name !== "") saveView({ name, search });
    setNaming(false);
  };
  return (
    <>
      {views.map((view) => (
        <span key={view.name} className="inline-flex">
          <button
            type="button"
            className="chip rounded-r-none!"
            aria-pressed={isSame(view.search, search)}
            data-on={isSame(view.search, search) || undefined}
            onClick={() => onOpen(view.search)}
          >
            {view.name}
          </button>
          <button
            type="button"
            className="chip rounded-l-none! border-l-0! px-1!"
            aria-label={`Remove the view ${view.name}`}
            onClick={() => dropView(view.name)}
          >
            <X size={12} />
          </button>
        </span>
      ))}
      {naming ? (
        <form onSubmit={save}>
          <input
            name="name"
            aria-label="Name of the view"
            placeholder="Name"
            // biome-ignore lint/a11y/noAutofocus: the reader has just asked for this field.
            autoFocus
            className="field h-6! w-28"
          />
        </form>
      ) : (
        isNarrowed &&
        !isKept && (
          <button type="button" className="chip" onClick={() => setNaming(true)}>
            Save view
          </button>
        )
      )}
    </>
  );
}
