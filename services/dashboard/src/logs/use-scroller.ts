import { type RefObject, useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from "react";
import { LogScroller } from "./log-scroller.ts";

/** The height of a row of one line, pixels. */
export const ROW_PX = 20;

/** A scroller with the box that it moves. */
export interface Scrolling {
  readonly scroller: LogScroller;
  readonly box: RefObject<HTMLDivElement | null>;
  readonly onScroll: () => void;
  /** Leads the reader to the end or to a row. */
  readonly aimAt: (aim: "end" | number) => void;
}

/** Measures the rows that are drawn. They say which they are in `data-at`. */
function* heightsIn(box: HTMLElement): Generator<readonly [number, number]> {
  for (const row of box.querySelectorAll<HTMLElement>("[data-at]"))
    yield [Number(row.dataset.at), row.getBoundingClientRect().height];
}

/**
 * Joins a scroller and its box on the page: measures what was drawn, and draws anew when that, the box or the reader moves.
 * @param args.look whatever makes rows of other heights, as a text: another one, and what was measured is forgotten
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
    // The box may have grown with what was just drawn: what it shows must be known before it scrolls.
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
    // Until the box stands where the reader is led, it tells of where they were.
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
