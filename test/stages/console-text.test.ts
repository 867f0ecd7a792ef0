import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { consoleTail, readConsole } from '../../src/stages/console-text.ts';

const ESC = '\u001b';

describe('readConsole', () => {
  it.each([
    ['colours', `${ESC}[0;32m  OK  ${ESC}[0m Started`, ['  OK   Started']],
    ['carriage returns before a line feed', 'one\r\ntwo\r\r\nthree', ['one', 'two', 'three']],
    ['a bare carriage return', '10%\r20%', ['10%', '20%']],
    [
      'cursor jumps',
      `${ESC}[2J${ESC}[01;01HBdsDxe: loading${ESC}[5;1Hnext`,
      ['', '', 'BdsDxe: loading', 'next'],
    ],
    ['private modes', `${ESC}[=3h${ESC}[?25lmenu${ESC}[?7h`, ['menu']],
    ['window titles', `${ESC}]0;root@web01\u0007login:`, ['login:']],
    ['palette resets, which have no end', `boot\n${ESC}]RDebian\nlogin:`, ['boot', 'Debian', 'login:']],
    ['palette colours, which have no end', `${ESC}]P0abcdefKernel panic`, ['Kernel panic']],
    ['titles that never end', `${ESC}]0;web01\nKernel panic\u0007`, ['0;web01', 'Kernel panic']],
    ['charset and keypad switches', `${ESC}(B${ESC}=text${ESC}c`, ['text']],
    ['backspaces', 'logim\bn:', ['login:']],
    ['nulls and bells', 'a\u0000b\u0007c', ['abc']],
    ['an escape that the end cut off', `text${ESC}[12`, ['text']],
    ['trailing blanks', 'text   \nmore\t', ['text', 'more']],
  ])('cleans %s', (_, text, lines) => {
    expect(readConsole(text)).toEqual(lines);
  });

  it('cuts endless lines and looks at the end of endless consoles', () => {
    const lines = readConsole(`${'x'.repeat(3_000_000)}\nlogin:`);
    expect(lines.map((line) => line.length)).toEqual([4096, 6]);
  });

  it('lets no control character through, whatever a guest prints', () => {
    const hostile = fc.array(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom(ESC, `${ESC}[`, `${ESC}]`, '\b', '\r', '\n', '\u009b', `${ESC}[31m`, '\u0007'),
      ),
    );
    fc.assert(
      fc.property(hostile, (pieces) => {
        for (const line of readConsole(pieces.join(''))) expect(line).not.toMatch(/[^\P{Cc}\t]/u);
      }),
    );
  });
});

describe('consoleTail', () => {
  it('gives the last lines that say something, repeated ones once', () => {
    const lines = [
      'first',
      '',
      '---',
      'again',
      'again',
      ...Array.from({ length: 14 }, (_, i) => `line ${i}`),
    ];
    expect(consoleTail(lines)[0]).toBe('again');
    expect(consoleTail(lines)).toHaveLength(15);
  });

  it('cuts a line that would fill the screen', () => {
    expect(consoleTail(['y'.repeat(500)])[0]).toHaveLength(201);
  });
});
