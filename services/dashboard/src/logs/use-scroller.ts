import { type RefObject, useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from "react";
import { LogScroller } from "./log-scroller.ts";

/** The height of a row with one line, pixels. */
export const ROW_PX = 20;

/** A scroller with its box. */
export interface Scrolling {
  readonly scroller: LogScroller;
  readonly box: RefObject<HTMLDivElement | null>;
  readonly onScroll: () => void;
  /** Leads the view to the end or to a row. */
  readonly aimAt: (aim: "end" | number) => void;
}

/** Measures the drawn rows. Their `data-at` has the row. */
function* heightsIn(box: HTMLElement): Generator<readonly [number, number]> {
  for (const row of box.querySelectorAll<HTMLElement>("[data-at]"))
    yield [Number(row.dataset.at), row.getBoundingClientRect().height];
}

/**
 * Connects a scroller with its box: measures the drawn rows, and draws again when they, the box or the reader moves.
 * @param args.look everything that influences row heights, as a text; a new value discards the measured heights
 */
export function useScroller(args: { rows: number; follows: boolean; look: string }): Scrolling {
  const { rows, look } = args;
  const [scroller] = useState(() => new LogScroller({ rowPx: ROW_PX, aim: args.follows ? "end" : null }));
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const box = useRef<HTMLDivElement>(null);
  const isLed = useRef(false);
  const seenLook = useRef(look);
  if (seenLook.current !== look) {
    seenLook.current = look;
    scroller.forgetHeights();
  }
  scroller.setRows(rows);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    // The box may have grown with the drawn rows, so it is measured before it scrolls.
    scroller.setView(element.clientHeight);
    const moved = scroller.measured(heightsIn(element));
    if (Math.abs(element.scrollTop - scroller.barPx) >= 1) element.scrollTop = scroller.barPx;
    isLed.current = false;
    if (moved) draw();
  });
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      scroller.setView(element.clientHeight);
      draw();
    });
    const onEnd = () => {
      scroller.rested();
      draw();
    };
    observer.observe(element);
    element.addEventListener("scrollend", onEnd);
    return () => {
      observer.disconnect();
      element.removeEventListener("scrollend", onEnd);
    };
  }, [scroller]);
  const onScroll = useCallback(() => {
    // Until the box has reached the aim, its scroll events report the old position.
    if (box.current === null || isLed.current) return;
    scroller.scrolled(box.current.scrollTop);
    draw();
  }, [scroller]);
  const aimAt = useCallback(
    (aim: "end" | number) => {
      scroller.aimAt(aim);
      isLed.current = true;
      draw();
    },
    [scroller],
  );
  return { scroller, box, onScroll, aimAt };
}
