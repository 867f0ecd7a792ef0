/**
 * What a landing shows while it boots: the end of its console and its newest screenshot, for eyes only. It goes after some
 * minutes without news; what is to last is evidence.
 */
import type { Redis } from 'ioredis';
import type { LandingSeen } from '../domain/landing.ts';
import { keys } from './keys.ts';

/** Of longer texts the end is kept: ten megabytes of console cost no more than this, here and at each look. */
export const CONSOLE_CHARS = 256 * 1024;
/** No longer than a landing is usually quiet. */
const EXPIRES_MS = 10 * 60_000;
/** So much of the end of a text tells where the next one goes on, where its target forgets the beginning. */
const ANCHOR_CHARS = 256;

export type LiveConsole = {
  landing: string;
  text: string;
  /** Of all that was seen, `text` is the end. */
  totalChars: number;
};

export interface ConsoleBoard {
  write(of: { run: string; machine: string }, seen: LandingSeen): Promise<void>;
  /** null: nothing was shown of late. */
  read(of: { run: string; machine: string }): Promise<LiveConsole | null>;
  /** Of that landing, a PNG; null: none was shown of late. */
  readScreenshot(of: { run: string; machine: string }, landing: string): Promise<Buffer | null>;
}

export function createConsoleBoard(redis: Redis): ConsoleBoard {
  return {
    async write({ run, machine }, { landing, console, screenshot }) {
      const key = keys.console(run, machine);
      const last = await redis.hmget(key, 'landing', 'anchor', 'length', 'totalChars');
      const isOther = last[0] !== landing;
      const write = redis.multi();
      if (isOther) write.del(key);
      write.hset(key, 'landing', landing);
      if (console !== null) {
        const [, anchor = null, length = null, total = null] = isOther ? [] : last;
        const before = { anchor: anchor ?? '', length: Number(length), totalChars: Number(total) };
        write.hset(key, {
          text: console.slice(-CONSOLE_CHARS),
          anchor: console.slice(-ANCHOR_CHARS),
          length: console.length,
          totalChars: before.totalChars + countNew(console, before),
        });
      }
      if (screenshot !== null) write.hset(key, 'screenshot', Buffer.from(screenshot));
      await write.pexpire(key, EXPIRES_MS).exec();
    },

    async read({ run, machine }) {
      const found = await redis.hmget(keys.console(run, machine), 'landing', 'text', 'totalChars');
      const [landing = null, text = null, totalChars = null] = found;
      return landing === null || text === null ? null : { landing, text, totalChars: Number(totalChars) };
    },

    async readScreenshot({ run, machine }, landing) {
      const found = await redis.hmgetBuffer(keys.console(run, machine), 'landing', 'screenshot');
      const [of = null, screenshot = null] = found;
      return of?.toString() === landing ? screenshot : null;
    },
  };
}

/** A console grows at its end; targets that keep only so much forget its beginning. */
function countNew(text: string, before: { anchor: string; length: number }): number {
  const { anchor, length } = before;
  if (anchor === '') return text.length;
  const at = text.startsWith(anchor, length - anchor.length)
    ? length - anchor.length
    : text.lastIndexOf(anchor);
  // All of it is new: so much came in between that nothing is left of what was there.
  return at === -1 ? text.length : text.length - at - anchor.length;
}
