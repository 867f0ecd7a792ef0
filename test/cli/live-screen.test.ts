import { describe, expect, test } from 'vitest';
import { cutLine, rowsAddedByWrapping } from '../../src/cli/live-screen.ts';

const RED = '\u001b[31m';
const PLAIN = '\u001b[39m';

describe('a line that is too long', () => {
  test.each([
    ['fits', 4, 'fits'],
    ['too long', 5, 'too …'],
    [`${RED}red${PLAIN} and more`, 6, `${RED}red${PLAIN} a…`],
    [`${RED}red${PLAIN} and more`, 4, `${RED}red${PLAIN}…`],
    [`${RED}red${PLAIN}`, 3, `${RED}red${PLAIN}`],
  ])('%j in %d columns is %j', (line, columns, cut) => expect(cutLine(line, columns)).toBe(cut));
});

test('a frame in a terminal that became narrower takes the rows that its lines wrap into', () => {
  expect(rowsAddedByWrapping(['x'.repeat(100), `${RED}short${PLAIN}`, ''], 40)).toBe(2);
  expect(rowsAddedByWrapping(['x'.repeat(40)], 40)).toBe(0);
});
