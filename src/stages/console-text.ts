/**
 * A guest's console as readable lines. Serial consoles carry terminal control: colours, cursor jumps (firmware and boot
 * menus paint with them), carriage returns and backspaces. None of it may reach evidence, errors or an operator's own
 * terminal, where a hostile guest could otherwise speak control codes.
 */

/** A line longer than this is cut: patterns are matched per line, and a guest may print megabytes without a break. */
const MAX_LINE_LENGTH = 4096;
/** Only the end of a very long console is looked at; targets keep 64 KB, of which this is a multiple. */
const MAX_TEXT_LENGTH = 1024 * 1024;
const TAIL_LINE_LENGTH = 200;

/** Linux resets and sets its palette by these, alone among OSC without a terminator; console_codes(4). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
const PALETTE_SEQUENCE = /\x1b\](?:R|P[0-9a-fA-F]{7})/g;
/** A string counts only when it ends within its line: one that never ends must not hide the lines after it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
const STRING_SEQUENCE = /\x1b[\]PX^_][^\x07\x1b\r\n]*(?:\x07|\x1b\\)/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
const CONTROL_SEQUENCE = /(?:\x1b\[|\x9b)[0-?]*[ -/]*([@-~])?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
const SHORT_SEQUENCE = /\x1b[ -/]*[0-~]?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
const OTHER_CONTROL = /[\x00-\x07\x0b-\x1f\x7f-\x9f]/g;
/** Cursor moves between rows and clearing the screen: what follows stands elsewhere than what came before. */
const ROW_MOVES = 'ABEFHJdf';
/** Cursor moves within a row. */
const COLUMN_MOVES = 'CG`';

/** Lines without control characters and trailing blanks, none longer than 4096 characters. */
export function readConsole(text: string): string[] {
  const plain = text
    .slice(-MAX_TEXT_LENGTH)
    .replace(PALETTE_SEQUENCE, '')
    .replace(STRING_SEQUENCE, '')
    .replace(CONTROL_SEQUENCE, (_, final: string | undefined) => replaceMove(final ?? ''))
    .replace(SHORT_SEQUENCE, '')
    .replace(/\r+\n/g, '\n')
    .replace(/\r/g, '\n');
  return eraseBackspaced(plain)
    .replace(OTHER_CONTROL, '')
    .split('\n')
    .map((line) => line.slice(0, MAX_LINE_LENGTH).trimEnd());
}

/** The last lines that say something, repeated ones once, each cut to 200 characters. */
export function consoleTail(lines: readonly string[], count = 15): string[] {
  const meaningful = lines.map((line) => line.trim()).filter((line) => /[\p{L}\p{N}]{2}/u.test(line));
  return meaningful
    .filter((line, index) => line !== meaningful[index - 1])
    .slice(-count)
    .map((line) => (line.length > TAIL_LINE_LENGTH ? `${line.slice(0, TAIL_LINE_LENGTH)}…` : line));
}

function replaceMove(final: string): string {
  if (final === '') return '';
  if (ROW_MOVES.includes(final)) return '\n';
  return COLUMN_MOVES.includes(final) ? ' ' : '';
}

/** A backspace takes back what was printed last on its line. */
function eraseBackspaced(text: string): string {
  if (!text.includes('\b')) return text;
  const kept: string[] = [];
  for (const character of text) {
    if (character !== '\b') kept.push(character);
    else if (kept.length > 0 && kept.at(-1) !== '\n') kept.pop();
  }
  return kept.join('');
}
