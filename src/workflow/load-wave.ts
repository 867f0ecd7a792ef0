/** A wave file as a Wave. Everything that is wrong with it is told at once, each with its line and column. */
import { isUtf8 } from 'node:buffer';
import { constants, open, readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { LandfallError } from '../domain/errors.ts';
import type { Wave } from '../domain/wave.ts';
import { closestWord } from './closest-word.ts';
import { parseWave, type WaveAdapters } from './parse-wave.ts';
import { waveInvalid } from './wave-problem.ts';

/** A wave of a thousand machines is a tenth of this. */
const MAX_FILE_BYTES = 1024 * 1024;

/** Throws `wave-invalid` with all problems, or `not-found`. */
export async function loadWave(file: string, adapters: WaveAdapters): Promise<Wave> {
  const bytes = await readWaveFile(file);
  if (!isUtf8(bytes)) {
    throw waveInvalid(file, [
      {
        ...positionOfBadByte(bytes),
        where: null,
        what: 'this is not UTF-8',
        remedy: 'Save the file in UTF-8.',
      },
    ]);
  }
  return parseWave({ file, path: resolve(file), text: bytes.toString('utf8'), adapters });
}

async function readWaveFile(file: string): Promise<Buffer> {
  try {
    // Without O_NONBLOCK, opening a FIFO would wait for somebody to write to it.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (!stats.isFile()) throw refuseFile(file, 'is not a regular file', 'Name a wave file.');
    if (stats.size > MAX_FILE_BYTES) throw tooLarge(file, stats.size);
    return await handle.readFile();
  } catch (error) {
    if (error instanceof LandfallError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw await notFound(file);
    throw refuseFile(file, `cannot be read (${code ?? message})`, 'Check its path and permissions.', error);
  }
}

async function notFound(file: string): Promise<LandfallError> {
  const names = await readdir(dirname(resolve(file))).catch(() => []);
  const waves = names.filter((name) => /\.ya?ml$/.test(name));
  const meant = closestWord(basename(file), waves);
  const hint = meant === null ? 'Check its path.' : `Did you mean ${join(dirname(file), meant)}?`;
  return new LandfallError({
    code: 'not-found',
    message: `There is no wave file ${file}. ${hint}`,
    context: { file },
  });
}

function tooLarge(file: string, sizeBytes: number): LandfallError {
  return refuseFile(
    file,
    `has ${sizeBytes} bytes, more than the ${MAX_FILE_BYTES} that a wave file may have`,
    'Split the wave.',
  );
}

function refuseFile(file: string, what: string, remedy: string, cause?: unknown): LandfallError {
  return new LandfallError({
    code: 'wave-invalid',
    message: `The wave file ${file} ${what}. ${remedy}`,
    cause,
    context: { file },
  });
}

/** Decoding replaces the first bad byte, so encoding again differs there first. */
function positionOfBadByte(bytes: Buffer): { line: number; column: number } {
  const again = Buffer.from(bytes.toString('utf8'));
  let offset = 0;
  while (offset < bytes.length && bytes[offset] === again[offset]) offset += 1;
  const before = bytes.subarray(0, offset).toString('utf8').split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
