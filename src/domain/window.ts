/**
 * When a cutover may happen. Times of day are those of the wave's own zone: days on which its clocks change are an hour
 * shorter or longer, and a time that a day skips is the one an hour later (https://tc39.es/proposal-temporal/docs/timezone.html).
 */

/** As a wave file says it. */
export type WindowSpec = {
  /** IANA name, for example "Europe/Berlin". */
  timezone: string;
  /** A rollback takes so long: what has to be decided is decided so much before the window closes. */
  rollbackSeconds: number;
} & (
  | {
      kind: 'once';
      /** Local date and time, `2026-11-28T22:00`. */
      opens: string;
      closes: string;
    }
  | {
      kind: 'weekly';
      /** 1 is Monday, 7 is Sunday. */
      weekdays: readonly number[];
      /** `22:00` */
      at: string;
      /** By the clock of the world, not of the wall: six hours are six hours also in a night of change. */
      lengthSeconds: number;
      /** Local dates, `2026-12-26`, on which no window opens. */
      except: readonly string[];
    }
);

/** One occurrence, in ms since the epoch. */
export type Window = { opensAt: number; closesAt: number };
