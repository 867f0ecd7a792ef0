import { readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseManifest } from '../../src/images/manifest.ts';
import { checkManifest, type ManifestCheck } from '../../src/images/manifest-check.ts';
import { createVerdicts } from '../../src/images/manifest-verdicts.ts';
import { makeTempFolder, manifestText, type TempFolder } from './make-appliance.ts';

const SHA1 = 'a'.repeat(40);

describe('reading a manifest', () => {
  it('takes the three algorithms, whatever the spacing and the line ends', () => {
    const text = `SHA1(a b.ovf)= ${SHA1}\r\nSHA256 (d.vmdk) = ${'B'.repeat(64)}\n\nSHA512(e.vmdk)=${'c'.repeat(128)}`;
    expect(parseManifest(text, 'm.mf')).toEqual([
      { file: 'a b.ovf', algorithm: 'sha1', digest: SHA1, line: 1 },
      { file: 'd.vmdk', algorithm: 'sha256', digest: 'b'.repeat(64), line: 2 },
      { file: 'e.vmdk', algorithm: 'sha512', digest: 'c'.repeat(128), line: 4 },
    ]);
  });

  it.each([
    ['is no digest', 'hello', 'image-corrupt', /line 2 is no digest/],
    ['has too few digits', 'SHA256(d.vmdk)= abcd', 'image-corrupt', /line 2 gives 4 hex digits/],
    ['names an unknown algorithm', `MD5(d.vmdk)= ${'a'.repeat(32)}`, 'image-corrupt', /line 2/],
    ['climbs out', `SHA1(../d.vmdk)= ${SHA1}`, 'image-hostile', /line 2/],
    ['contradicts another', `SHA1(a.ovf)= ${'b'.repeat(40)}`, 'image-corrupt', /lines 1 and 2/],
  ])('refuses a line that %s', (_, line, code, message) => {
    const parse = () => parseManifest(`SHA1(a.ovf)= ${SHA1}\n${line}\n`, 'm.mf');
    expect(parse).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});

describe('checking a manifest', () => {
  let folder: TempFolder;
  let files: string[];
  let reads: number;

  beforeEach(async () => {
    folder = await makeTempFolder();
    files = ['m.ovf', 'd0.vmdk', 'd1.vmdk'].map((name) => join(folder.path, name));
    for (const [index, file] of files.entries())
      await writeFile(file, Buffer.alloc(1_500_000 * index + 10, index));
    reads = 0;
  });
  afterEach(() => folder[Symbol.asyncDispose]());

  function check(text: string, changes: Partial<ManifestCheck> = {}): Promise<void> {
    return checkManifest({
      label: 'm.mf',
      text,
      findFile: async (name) => {
        const path = files.find((file) => file.endsWith(`/${name}`));
        return path === undefined
          ? null
          : { slice: { path, offsetBytes: 0, lengthBytes: null }, label: path };
      },
      verdicts: createVerdicts(null),
      signal: new AbortController().signal,
      onProgress: () => {
        reads += 1;
      },
      ...changes,
    });
  }

  it.each(['SHA1', 'SHA256', 'SHA512'])('passes files that have their %s digests', async (algorithm) => {
    await check(await manifestText(files, algorithm));
    expect(reads).toBeGreaterThan(0);
  });

  it('names file, member, both digests and the remedy where one is wrong', async () => {
    const text = await manifestText(files);
    const [, expected = ''] = /d1\.vmdk\)= (\w+)/.exec(text) ?? [];
    await writeFile(files[2] ?? '', 'tampered');
    const [, actual = ''] = /d1\.vmdk\)= (\w+)/.exec(await manifestText(files)) ?? [];
    const error = {
      code: 'digest-mismatch',
      context: { file: 'm.mf', member: 'd1.vmdk', algorithm: 'sha256', expected, actual },
    };
    await expect(check(text)).rejects.toMatchObject(error);
    await expect(check(text)).rejects.toThrow(
      new RegExp(`line 3 of m\\.mf expects sha256 ${expected}, but its content gives ${actual}\\. Copy`),
    );
  });

  it('names the line of a file that is listed and missing', async () => {
    const text = `${await manifestText(files)}SHA1(lost.vmdk)= ${SHA1}\n`;
    await expect(check(text)).rejects.toMatchObject({
      code: 'image-missing',
      message: expect.stringMatching(/m\.mf, line 4.*lost\.vmdk/),
    });
  });

  it('reads slices of an archive within their bounds', async () => {
    const [, , d1 = ''] = files;
    const whole = await manifestText([d1]);
    await writeFile(
      join(folder.path, 'a.ova'),
      Buffer.concat([Buffer.alloc(512, 7), Buffer.alloc(3_000_010, 2), Buffer.alloc(99, 7)]),
    );
    const slice = { path: join(folder.path, 'a.ova'), offsetBytes: 512, lengthBytes: 3_000_010 };
    await check(whole, { findFile: async () => ({ slice, label: 'a.ova!d1.vmdk' }) });
  });

  it('reads once for as long as the files stay the same, across processes', async () => {
    const text = await manifestText(files);
    const verdicts = () => createVerdicts(join(folder.path, 'verdicts'));
    await check(text, { verdicts: verdicts() });
    expect(reads).toBeGreaterThan(0);
    reads = 0;
    await check(text, { verdicts: verdicts() });
    expect(reads).toBe(0);
    await utimes(files[1] ?? '', new Date(), new Date(0));
    await check(text, { verdicts: verdicts() });
    expect(reads).toBeGreaterThan(0);
  });

  it('keeps no verdict of a wrong digest', async () => {
    const text = await manifestText(files);
    await writeFile(files[1] ?? '', 'x');
    const verdicts = createVerdicts(join(folder.path, 'verdicts'));
    await expect(check(text, { verdicts })).rejects.toMatchObject({ code: 'digest-mismatch' });
    await expect(check(text, { verdicts })).rejects.toMatchObject({ code: 'digest-mismatch' });
    expect(await readdir(join(folder.path, 'verdicts')).catch(() => [])).toEqual([]);
  });

  it('reads again where the kept verdict is torn', async () => {
    const text = await manifestText(files);
    const kept = join(folder.path, 'verdicts');
    await check(text, { verdicts: createVerdicts(kept) });
    for (const name of await readdir(kept)) await writeFile(join(kept, name), '');
    reads = 0;
    await check(text, { verdicts: createVerdicts(kept) });
    expect(reads).toBeGreaterThan(0);
  });

  it('lets two that ask at once share one reading', async () => {
    const text = await manifestText(files);
    const verdicts = createVerdicts(null);
    await check(text, { verdicts });
    const once = reads;
    reads = 0;
    const shared = createVerdicts(null);
    await Promise.all([check(text, { verdicts: shared }), check(text, { verdicts: shared })]);
    expect(reads).toBe(once);
  });

  it('stops soon after abort, and one who waited for the other goes on alone', async () => {
    const text = await manifestText(files);
    const verdicts = createVerdicts(null);
    const first = new AbortController();
    const reason = new Error('enough');
    // The second comes while the first is at it: only then does it wait for the other.
    const waiting = Promise.withResolvers<unknown>();
    const aborted = check(text, {
      verdicts,
      signal: first.signal,
      onProgress: () => {
        waiting.resolve(check(text, { verdicts }));
        first.abort(reason);
      },
    });
    await expect(aborted).rejects.toBe(reason);
    await waiting.promise;
    expect(reads).toBeGreaterThan(0);
  });

  it('notices a file that is written to while it is digested', async () => {
    const text = await manifestText(files);
    let isTouched = false;
    const onProgress = () => {
      if (isTouched) return;
      isTouched = true;
      void utimes(files[0] ?? '', new Date(), new Date(0));
    };
    await expect(check(text, { onProgress })).rejects.toMatchObject({
      code: 'source-changed',
      retryable: true,
    });
  });

  it('says that a listed file vanished', async () => {
    const text = await manifestText(files);
    await rm(files[1] ?? '');
    await expect(check(text)).rejects.toMatchObject({ code: 'source-changed' });
  });
});
