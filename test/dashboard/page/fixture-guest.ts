/** What a guest shows, made up: a long console and a screen. */
import { PNG } from 'pngjs';
import type { ConsoleText } from '../../../src/dashboard/api/machine.ts';

const CONSOLE_CHUNK_CHARS = 256 * 1024;

/** 10 MB of it, with what a terminal would obey and what a browser would, were it not text. */
export function makeConsole(lines: number): string {
  return Array.from({ length: lines }, (_, index) => {
    const at = (index * 0.0123).toFixed(6).padStart(12);
    if (index % 50 === 7) return `\u001b[0;32m  OK  \u001b[0m] Started \u001b[1mserver ${index}\u001b[0m.\r`;
    if (index % 501 === 9) return `[${at}] <img src=x onerror=alert(${index})> ${'long '.repeat(60)}`;
    return `[${at}] pci 0000:00:${(index % 32).toString(16).padStart(2, '0')}.0: BAR ${index % 6} [mem 0xfebf0000-0xfebfffff]`;
  }).join('\n');
}

export function cutConsole(text: string, offset: number | null, isLive: boolean): ConsoleText {
  const from = Math.min(text.length, offset ?? Math.max(0, text.length - CONSOLE_CHUNK_CHARS));
  const shown = text.slice(from, from + CONSOLE_CHUNK_CHARS);
  return { text: shown, offset: from, nextOffset: from + shown.length, totalChars: text.length, isLive };
}

/** 720 × 400, as a text console is: stripes where letters would be. */
export function makeScreenshot(): Buffer {
  const png = new PNG({ width: 720, height: 400 });
  for (let y = 0; y < png.height; y += 1) {
    for (let x = 0; x < png.width; x += 1) {
      const row = Math.floor(y / 16);
      const column = Math.floor(x / 9);
      const isInk =
        y % 16 > 3 &&
        y % 16 < 13 &&
        x % 9 < 6 &&
        column < (row * 37) % 71 &&
        (x * 7 + y * 3 + column) % 5 < 3;
      const offset = (y * png.width + x) * 4;
      png.data.set(isInk ? [210, 214, 210, 255] : [12, 12, 16, 255], offset);
    }
  }
  return PNG.sync.write(png);
}
