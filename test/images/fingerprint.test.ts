import { appendFile, copyFile, link, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ImageLayout } from '../../src/domain/image.ts';
import { filesOf, fingerprintFiles, fingerprintLayout } from '../../src/images/fingerprint.ts';
import { openSampleFolder, type SampleFolder } from './sample-images.ts';

let folder: SampleFolder;
let first: string;
let second: string;

beforeEach(async () => {
  folder = await openSampleFolder();
  first = folder.join('first');
  second = folder.join('second');
  await writeFile(first, 'one');
  await writeFile(second, 'two');
});

afterEach(() => folder[Symbol.asyncDispose]());

function whole(path: string) {
  return { path, offsetBytes: 0, lengthBytes: null };
}

describe('fingerprintFiles', () => {
  it('stays the same while nothing happens', async () => {
    expect(await fingerprintFiles([first, second])).toBe(await fingerprintFiles([first, second]));
    expect(await fingerprintFiles([first])).not.toBe(await fingerprintFiles([second]));
  });

  it.each([
    ['a write', () => appendFile(second, '!')],
    [
      'a write whose time was set back',
      async () => {
        await writeFile(second, 'too');
        await utimes(second, new Date(0), new Date(0));
      },
    ],
    [
      'another file under its name',
      async () => {
        await copyFile(second, `${second}.new`);
        await rename(`${second}.new`, second);
      },
    ],
    ['a second name', () => link(second, `${second}.link`)],
  ])('changes with %s', async (_name, happen) => {
    const before = await fingerprintFiles([first, second]);
    await happen();
    expect(await fingerprintFiles([first, second])).not.toBe(before);
  });

  it('says which file is gone', async () => {
    await rm(second);
    await expect(fingerprintFiles([first, second])).rejects.toMatchObject({
      code: 'source-changed',
      message: expect.stringContaining(second),
    });
  });
});

describe('fingerprintLayout', () => {
  it('covers every file of a layout once', async () => {
    const layout: ImageLayout = {
      kind: 'pieces',
      pieces: [
        { kind: 'raw', bytes: 512, file: whole(first) },
        { kind: 'zero', bytes: 512 },
        { kind: 'vmdk-sparse', bytes: 512, file: whole(second) },
        { kind: 'raw', bytes: 512, file: whole(first) },
      ],
    };
    expect(filesOf(layout)).toEqual([first, second]);
    expect(await fingerprintLayout(layout)).toBe(await fingerprintFiles([first, second]));
    const single: ImageLayout = { kind: 'single', format: 'raw', file: whole(first) };
    expect(await fingerprintLayout(single)).toBe(await fingerprintFiles([first]));
    expect(await fingerprintLayout({ kind: 'blank' })).toBe(await fingerprintLayout({ kind: 'blank' }));
  });
});
