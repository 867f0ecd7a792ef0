import { expect, test } from 'vitest';
import { crc64Of, openChecksums } from '../../../../adapters/targets/azure/page-checksum.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { finish, openSink, openUploadGround, writeAll } from './upload-ground.ts';

test("CRC64 is Azure's: CRC-64/NVME, least significant byte first", async () => {
  await openChecksums(createStepContext(), '0');
  expect(Buffer.from(crc64Of([Buffer.from('1234'), Buffer.from('56789')])).toString('hex')).toBe(
    '8898790a86148bae',
  );
  expect(Buffer.from(crc64Of([])).toString('hex')).toBe('0000000000000000');
});

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
