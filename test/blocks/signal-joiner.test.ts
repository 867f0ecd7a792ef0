import { expect, test } from 'vitest';
import { createSignalJoiner } from '../../src/blocks/signal-joiner.ts';

test('a joined signal aborts with either, with the reason of that one', () => {
  const own = new AbortController();
  const one = new AbortController();
  const two = new AbortController();
  const join = createSignalJoiner(own.signal);
  one.abort('one');
  expect(join(one.signal).reason).toBe('one');
  expect(join(two.signal).aborted).toBe(false);
  own.abort('own');
  expect(join(two.signal).reason).toBe('own');
});

test('the same signal is joined once', () => {
  const join = createSignalJoiner(new AbortController().signal);
  const { signal } = new AbortController();
  expect(join(signal)).toBe(join(signal));
});
