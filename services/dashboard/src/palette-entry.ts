import type { IconName } from "./kernel/icon.tsx";

/** Something that the palette does or leads to. */
export interface Entry {
  readonly id: string;
  readonly name: string;
  /** What it is, at the right. */
  readonly note: string;
  readonly icon: IconName;
  go(): void;
}
