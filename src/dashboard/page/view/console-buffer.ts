/**
 * A stretch of a console's text in lines, grown at either end: of 10 MB only what was looked at is here, and of that only
 * what is in view is in the document.
 */
import type { ConsoleText } from '../../api/machine.ts';

export type ConsoleBuffer = {
  /** In characters of all that there was. */
  start: number;
  end: number;
  lines: readonly string[];
};

/** A program that never ends its line must not make one row of a megabyte. */
export const MAX_LINE_CHARS = 1000;
/** What the server gives at once. */
export const CHUNK_CHARS = 256 * 1024;

export function bufferOf({ text, offset }: Pick<ConsoleText, 'text' | 'offset'>): ConsoleBuffer {
  return { start: offset, end: offset + text.length, lines: splitLines(text) };
}

/** What came next. A machine that boots anew begins a new text; what was cut off meanwhile is said, not hidden. */
export function appendText(buffer: ConsoleBuffer, next: ConsoleText): ConsoleBuffer {
  if (next.totalChars < buffer.end) return bufferOf(next);
  const { text, offset } = next;
  if (offset > buffer.end) {
    const gap = `[${(offset - buffer.end).toLocaleString('en')} characters are not kept]`;
    return { ...buffer, end: offset + text.length, lines: [...buffer.lines, gap, ...splitLines(text)] };
  }
  const fresh = text.slice(buffer.end - offset);
  if (fresh === '') return buffer;
  const last = buffer.lines.at(-1) ?? '';
  return {
    ...buffer,
    end: buffer.end + fresh.length,
    lines: [...buffer.lines.slice(0, -1), ...splitLines(last + fresh)],
  };
}

/** What stood before, up to where the buffer begins. */
export function prependText(
  buffer: ConsoleBuffer,
  { text, offset }: Pick<ConsoleText, 'text' | 'offset'>,
): ConsoleBuffer {
  const earlier = text.slice(0, Math.max(0, buffer.start - offset));
  if (earlier === '' || offset + earlier.length < buffer.start) return buffer;
  const [first = '', ...rest] = buffer.lines;
  return { ...buffer, start: offset, lines: [...splitLines(earlier + first), ...rest] };
}

function splitLines(text: string): string[] {
  return text.split('\n').flatMap((line) => (line.length <= MAX_LINE_CHARS ? line : fold(line)));
}

function fold(line: string): string[] {
  const parts = Math.ceil(line.length / MAX_LINE_CHARS);
  return Array.from({ length: parts }, (_, index) =>
    line.slice(index * MAX_LINE_CHARS, (index + 1) * MAX_LINE_CHARS),
  );
}

// What terminals obey: cursor and colour (CSI), titles and links (OSC), character sets, single commands.
const ESCAPES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[()*+][0-9A-Za-z]|[@-Z\\-_a-z=>78])|\u009b[0-?]*[ -/]*[@-~]/g;
/** Characters that would not be seen, or would turn the writing's direction around. */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A line as it would stand on the screen at last: plain text without what a terminal obeys. */
export function plainLine(line: string): string {
  const plain = line.replace(ESCAPES, '').replace(/\r+$/, '');
  return plain.slice(plain.lastIndexOf('\r') + 1).replace(UNSEEN, '');
}
