import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  appendText,
  bufferOf,
  type ConsoleBuffer,
  MAX_LINE_CHARS,
  plainLine,
  prependText,
} from '../../../src/dashboard/page/view/console-buffer.ts';
import { cutConsole, makeConsole } from './fixture-guest.ts';

function piece(text: string, from: number, to: number) {
  return { text: text.slice(from, to), offset: from, nextOffset: to, totalChars: text.length, isLive: true };
}

describe('the buffer', () => {
  test('holds the same lines however the text came', () => {
    const line = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), fc.nat(), fc.nat(), (lines, first, second) => {
        const text = lines.join('\n');
        const a = first % (text.length + 1);
        const b = a + (second % (text.length - a + 1));
        const grown = appendText(bufferOf(piece(text, a, b)), piece(text, b, text.length));
        const whole = prependText(grown, piece(text, 0, a));
        expect(whole).toEqual({ start: 0, end: text.length, lines: text.split('\n') });
      }),
    );
  });

  test('takes nothing twice', () => {
    const buffer = bufferOf(piece('a\nb', 0, 3));
    expect(appendText(buffer, piece('a\nb', 1, 3))).toBe(buffer);
    expect(appendText(buffer, piece('a\nbc', 2, 4)).lines).toEqual(['a', 'bc']);
    expect(prependText(buffer, piece('a\nb', 0, 3))).toBe(buffer);
  });

  test('says what is not kept, and does not join lines across it', () => {
    const { lines } = appendText(bufferOf(piece('first', 0, 5)), {
      text: 'later',
      offset: 1005,
      nextOffset: 1010,
      totalChars: 1010,
      isLive: true,
    });
    expect(lines).toEqual(['first', '[1,000 characters are not kept]', 'later']);
  });

  test('begins anew when the machine boots anew', () => {
    const buffer: ConsoleBuffer = bufferOf({ text: 'the boot before', offset: 0 });
    expect(appendText(buffer, piece('boot', 0, 4))).toEqual({ start: 0, end: 4, lines: ['boot'] });
  });

  test('a line that never ends becomes rows, none longer than a row', () => {
    const { lines } = bufferOf({ text: 'x'.repeat(MAX_LINE_CHARS * 3 + 1), offset: 0 });
    expect(lines.map(({ length }) => length)).toEqual([MAX_LINE_CHARS, MAX_LINE_CHARS, MAX_LINE_CHARS, 1]);
  });

  test('8 MB are taken piece by piece within a second', () => {
    const text = makeConsole(100_000);
    const began = performance.now();
    let buffer = bufferOf(cutConsole(text, null, false));
    while (buffer.start > 0)
      buffer = prependText(buffer, cutConsole(text, Math.max(0, buffer.start - 262_144), false));
    expect(buffer.lines.length).toBe(100_000);
    expect(performance.now() - began).toBeLessThan(1000);
  });
});

describe('a line as text', () => {
  test('has nothing that a terminal obeys', () => {
    expect(plainLine('\u001b[0;32m  OK  \u001b[0m] Started \u001b[1mx\u001b[0m.\r')).toBe(
      '  OK  ] Started x.',
    );
    expect(plainLine('\u001b]0;a title\u0007$ ls')).toBe('$ ls');
    expect(plainLine('\u001b(B\u001b[?25l\u009b2Jhi\u0000\u0008')).toBe('hi');
  });

  test('shows what was written over a line at last', () => {
    expect(plainLine('10 %\r50 %\r100 %')).toBe('100 %');
  });

  test('keeps tabs and markup, and does not turn around', () => {
    expect(plainLine('a\tb <script>alert(1)</script>')).toBe('a\tb <script>alert(1)</script>');
    expect(plainLine('abc\u202edef')).toBe('abcdef');
  });
});
