/** When the signature of an upload is renewed, and what becomes of those who write meanwhile. */
import type { PageBlobClient } from '@azure/storage-blob';
import { RestError } from '@azure/storage-blob';
import { expect, test } from 'vitest';
import { openAccess } from '../../../../adapters/targets/azure/sas.ts';

const signatureOf = async ({ url }: PageBlobClient) => new URL(url).searchParams.get('sig');

/** Grants `sig=1`, `sig=2` …; the later ones when `answer` lets them. */
function openCounted(answer: () => Promise<void>, accessSeconds: number) {
  let granted = 0;
  const access = openAccess({
    grantFor: async () => {
      granted += 1;
      const number = granted;
      if (number > 1) await answer();
      return `https://disk.example/c/d?sig=${number}`;
    },
    onThrottled: () => {},
    accessSeconds,
  });
  return { access, granted: () => granted };
}

test('a renewal that fails leaves the old signature in use', async () => {
  const { access, granted } = openCounted(() => Promise.reject(new Error('503')), 0);
  expect(await access.use(signatureOf)).toBe('1');
  expect(await access.use(signatureOf)).toBe('1');
  expect(await access.use(signatureOf)).toBe('1');
  expect(granted()).toBe(2);
});

test('nobody waits for a renewal while the old signature is good', async () => {
  const asked = Promise.withResolvers<void>();
  const { access } = openCounted(() => asked.promise, 0);
  expect(await access.use(signatureOf)).toBe('1');
  expect(await access.use(signatureOf)).toBe('1');
  asked.resolve();
  await expect.poll(() => access.use(signatureOf)).toBe('2');
});

test('a signature that is refused is renewed once, for all who meet it', async () => {
  const { access, granted } = openCounted(() => Promise.resolve(), 3600);
  const send = async (pages: PageBlobClient) => {
    const signature = await signatureOf(pages);
    if (signature === '1') throw new RestError('expired', { statusCode: 403 });
    return signature;
  };
  expect(await Promise.all([access.use(send), access.use(send), access.use(send)])).toEqual(['2', '2', '2']);
  expect(granted()).toBe(2);
});
