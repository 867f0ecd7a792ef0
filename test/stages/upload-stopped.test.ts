/** Uploads that must not be finished: refused, aborted, or of a source that changed. */
import { appendFile, rename, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import { createFakeSource } from '../fakes/source.ts';
import {
  attempt,
  content,
  FORMS,
  path,
  record,
  standOnUploadGround,
  takeWritten,
  target,
  upload,
} from './upload-ground.ts';

describe.each(FORMS)('a disk in $kind', (chosen) => {
  standOnUploadGround(chosen);

  it('says how far it came when the target refuses', async () => {
    target.beforeWrite = async ({ number }) => {
      if (number > 8) {
        throw new LandfallError({ code: 'target-denied', message: 'the bucket denied PutObject.' });
      }
    };
    await expect(upload(attempt())).rejects.toMatchObject({
      code: 'target-denied',
      retryable: false,
      message: expect.stringMatching(
        /^Upload of web01 disk 0 stopped at .* of .* MiB: the bucket denied PutObject\.$/,
      ),
    });
  });

  it('is never finished when its source changed under the copy', async () => {
    target.afterWrite = async ({ number }) => {
      if (number === 10) await appendFile(path, 'more');
    };
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed' });
    expect(target.finishes).toBe(0);
  });

  it('is never finished when its source was replaced under the copy', async () => {
    target.afterWrite = async ({ number }) => {
      if (number !== 10) return;
      await writeFile(`${path}.new`, content);
      await rename(`${path}.new`, path);
    };
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed' });
    expect(target.finishes).toBe(0);
  });

  it('is stopped in mid-copy when its machine is started', async () => {
    const source = createFakeSource({ machine: record.machine, images: record.images });
    target.beforeWrite = async ({ number }, signal) => {
      if (number < 10) return;
      source.power = 'on';
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    await expect(upload(attempt({ source }))).rejects.toMatchObject({ code: 'source-not-off' });
    expect(target.finishes).toBe(0);
  });

  it('stops at once when aborted, keeps what is durable and rejects with the reason', async () => {
    const stop = new AbortController();
    let abortedMs = Number.POSITIVE_INFINITY;
    target.beforeWrite = async ({ number }, signal) => {
      if (number < 10) return;
      setImmediate(() => {
        abortedMs = Math.min(abortedMs, performance.now());
        stop.abort(new Error('worker stops'));
      });
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    await expect(upload(attempt({ signal: stop.signal }))).rejects.toThrow('worker stops');
    expect(performance.now() - abortedMs).toBeLessThan(1_000);
    const held = takeWritten();
    target.beforeWrite = async () => {};
    await upload(attempt());
    const again = takeWritten();
    expect(again.filter((number) => held.includes(number)).length).toBeLessThanOrEqual(3);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });
});
