import { expect, test } from 'vitest';
import { awaitOperation } from '../../../../adapters/targets/azure/operation.ts';
import { openAccess } from '../../../../adapters/targets/azure/sas.ts';

const ADDRESS = 'https://disk.invalid/vhd/abcd?sig=';

test('a renewal that fails leaves the signature that is still good', async () => {
  let grants = 0;
  const access = openAccess({
    onThrottled: () => {},
    grantFor: async () => {
      grants += 1;
      if (grants > 1) throw new Error('away');
      return `${ADDRESS}${grants}`;
    },
  });
  const used = await access.use(async ({ url }) => url);
  const refused = Object.assign(new Error('refused'), { statusCode: 403 });
  await expect(access.use(() => Promise.reject(refused))).rejects.toThrow('away');
  expect(await access.use(async ({ url }) => url)).toBe(used);
});

test('many who are refused at once have it renewed once', async () => {
  let grants = 0;
  const access = openAccess({
    onThrottled: () => {},
    grantFor: async () => {
      grants += 1;
      return `${ADDRESS}${grants}`;
    },
  });
  const send = async ({ url }: { url: string }): Promise<string> => {
    if (url.endsWith('1')) throw Object.assign(new Error('expired'), { statusCode: 403 });
    return url;
  };
  const all = await Promise.all([access.use(send), access.use(send), access.use(send)]);
  expect(new Set(all)).toEqual(new Set([`${ADDRESS}2`]));
  expect(grants).toBe(2);
});

test('a wait hands its signal to the poller', async () => {
  const { signal } = new AbortController();
  const poller = { pollUntilDone: async (options: { abortSignal: AbortSignal }) => options.abortSignal };
  expect(await awaitOperation(poller, signal)).toBe(signal);
});
