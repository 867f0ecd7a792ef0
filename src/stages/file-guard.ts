/** Keeps watch over the file that is being uploaded: what was prepared must be what is sent, to its last byte. */
import { fingerprintFile } from '../blocks/file-fingerprint.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Prepared } from '../domain/image.ts';
import { watchSource } from './source-watch.ts';
import { diskOf, type StepInput } from './step-input.ts';

export type FileGuard = AsyncDisposable & {
  /** Aborts with the step, and as soon as the file's source was seen to have changed. */
  signal: AbortSignal;
  /** Throws `source-changed`, `source-not-off` or `image-missing`. */
  check(): Promise<void>;
};

/** A staged file is ours alone; any other is the source's, which must also stay off and unchanged while it is read. */
export async function guardFile(input: StepInput, prepared: Prepared): Promise<FileGuard> {
  const check = (): Promise<void> => requireSameFile(input, prepared);
  await check();
  if (prepared.isStaged)
    return { signal: input.context.signal, check, [Symbol.asyncDispose]: async () => {} };
  const watch = await watchSource(input, [diskOf(input).id]);
  return {
    signal: watch.signal,
    check: async () => {
      await watch.check();
      await check();
    },
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}

async function requireSameFile(
  { record }: StepInput,
  { file, fingerprint, isStaged }: Prepared,
): Promise<void> {
  const { name } = record.machine;
  const remedy = `\`landfall discard ${record.run} ${name}\` and \`landfall retry ${record.run} ${name}\` copy it afresh`;
  const found = await fingerprintFile(file.path).catch((error: unknown) => {
    if (!isStaged || !(error instanceof LandfallError) || error.code !== 'image-missing') throw error;
    throw new LandfallError({
      code: 'image-missing',
      message: `${file.path}, prepared from a disk of ${name}, is gone from staging (or staging is not shared with this worker). ${remedy}.`,
      cause: error,
      context: { path: file.path },
    });
  });
  if (found === fingerprint) return;
  throw new LandfallError({
    code: 'source-changed',
    message: `${file.path} of ${name} changed after it was prepared for upload. ${remedy}; leave the file untouched until the machine has landed.`,
    context: { path: file.path },
  });
}
