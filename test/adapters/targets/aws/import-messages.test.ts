import { describe, expect, test } from 'vitest';
import { explainImportFailure } from '../../../../adapters/targets/aws/import-messages.ts';

const UNKNOWN = 'AWS gave up on the import without a reason that Landfall knows';

describe('explainImportFailure', () => {
  test.each([
    ['ClientError: Disk validation failed [Unsupported VMDK File Format]', /stream-optimised/],
    ['ClientError: Unsupported kernel version 2.6.18-8.el5', /kernel is not among/],
    ['ClientError: Unable to determine kernel version', /found no kernel/],
    ['ClientError: Unknown OS / Missing OS files.', /no operating system/],
    ['ClientError: Multiple different grub/menu.lst files found.', /several GRUB/],
    ['ClientError: BLSC-style GRUB found, which is not supported', /BLS entries/],
    [
      "ClientError: We were unable to read your import's initramfs/initrd to determine what drivers",
      /initramfs/,
    ],
    ['ClientError: Footers not identical', /damaged/],
    ['ClientError: Uncompressed data has an invalid length', /damaged/],
    ['ClientError: Invalid configuration - Could not read fstab', /fstab/],
    ['ClientError: Booter Networking failure/instance not reachable after 1 retries', /did not start/],
    [
      'FirstBootFailure: This import request failed because the Windows instance failed to boot',
      /did not start/,
    ],
    [
      'The service role vmimport provided does not exist or does not have sufficient permissions',
      /service role/,
    ],
  ])('%s', (message, explanation) => {
    const failure = explainImportFailure(message);
    expect(failure.explanation).toMatch(explanation);
    expect(failure.explanation).not.toBe(UNKNOWN);
    expect(failure.remedy).not.toBe('');
    expect(failure.retryable).toBe(false);
  });

  test("an error on AWS's side is tried again", () => {
    expect(
      explainImportFailure('ServerError: An internal error has occurred during conversion.').retryable,
    ).toBe(true);
  });

  test('an unknown error of our making is final, since it would come again', () => {
    const failure = explainImportFailure('ClientError: the moon is full');
    expect(failure).toMatchObject({ explanation: UNKNOWN, retryable: false });
  });
});
