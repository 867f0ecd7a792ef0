import { expect, test } from 'vitest';
import { decodeConsole } from '../../src/boot/console-text.ts';

const decode = (text: string): string => decodeConsole(Buffer.from(text));

test('carriage returns and colours leave no trace', () => {
  expect(decode('\u001b[0m\u001b[37;40mWelcome to GRUB!\r\nlogin: ')).toBe('Welcome to GRUB!\nlogin:');
});

test('text painted at another place of the screen is a line of its own', () => {
  expect(decode('\u001b[2J\u001b[01;01HBdsDxe: starting\u001b[05;10HGNU GRUB')).toBe(
    'BdsDxe: starting\nGNU GRUB',
  );
});

test('resets, private modes, character sets, titles and 8-bit sequences are removed', () => {
  expect(decode('\u001bc\u001b[?7l\u001b[=3h\u001b(BSea\u001b]0;title\u0007BIOS\u009b1m')).toBe('SeaBIOS');
});

test('palette changes and strings without an end hide nothing after them', () => {
  expect(decode('boot\n\u001b]RDebian\n\u001b]P0abcdefweb01\nlogin: \u0007')).toBe(
    'boot\nDebian\nweb01\nlogin:',
  );
  expect(decode('\u001b]0;web01\nKernel panic\u0007')).toContain('\nKernel panic');
});

test('an escape cut at the end of what was read is not shown', () => {
  expect(decode('booting\u001b[3')).toBe('booting');
  expect(decode('booting\u001b')).toBe('booting');
});

test('bytes that are no text do not end the decoding', () => {
  const bytes = Buffer.concat([Buffer.from([0xff, 0x00, 0xfe]), Buffer.from('Kernel panic\n')]);
  expect(decodeConsole(bytes)).toContain('Kernel panic\n');
});

test('a megabyte of escapes that never end is decoded at once', () => {
  const started = performance.now();
  decode('\u001b]'.repeat(500_000));
  decode(`\u001b[${'1;'.repeat(500_000)}`);
  decode('\u001b[ '.repeat(300_000));
  expect(performance.now() - started).toBeLessThan(2_000);
});
