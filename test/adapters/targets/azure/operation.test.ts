import { expect, test } from 'vitest';
import { awaitOperation } from '../../../../adapters/targets/azure/operation.ts';

test('a wait hands its signal to the poller', async () => {
  const { signal } = new AbortController();
  const poller = { pollUntilDone: async (options: { abortSignal: AbortSignal }) => options.abortSignal };
  expect(await awaitOperation(poller, signal)).toBe(signal);
});
