import { expect, test } from 'vitest';
import { createStepContext } from '../../../fakes/step-context.ts';
import { finish, openSink, openUploadGround, writeAll } from './upload-ground.ts';

test('an endpoint that takes neither CRC64 nor MD5 gets pages without, and the log says what went', async () => {
  await using ground = await openUploadGround({ limits: { refusedChecksums: ['crc64', 'md5'] } });
  const context = createStepContext();
  const sink = await openSink(ground, context);
  await writeAll(sink);
  await finish(sink);
  await ground.expectIdentical();
  expect(context.logs.map(({ level, message }) => `${level}: ${message}`)).toEqual([
    'info: The pages of disk 0 are checked by CRC64 on their way.',
    'info: The endpoint of disk 0 does not take CRC64: its pages go with MD5 from here on.',
    'warn: The endpoint of disk 0 does not take MD5: its pages go with no checksum from here on.',
  ]);
});
