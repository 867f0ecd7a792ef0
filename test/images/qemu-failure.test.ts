import { describe, expect, it } from 'vitest';
import { qemuFailure } from '../../src/images/qemu-failure.ts';

function failure(stderr: string) {
  return qemuFailure({ attempted: 'Converting a to b failed', command: 'qemu-img', exitCode: 1, stderr });
}

describe('qemuFailure', () => {
  it.each([
    ['Failed to get shared "write" lock\nIs another process using the image [a]?', 'source-not-off', false],
    ['error while writing at byte 0: No space left on device', 'no-space', true],
    ["Could not open '/vm/a': Permission denied", 'image-unreadable', false],
    ["Could not open '/vm/a': No such file or directory", 'source-changed', false],
    ["Failed to connect to '/s': No such file or directory", 'tool-failed', true],
    ['error while reading at byte 0: Input/output error', 'tool-failed', true],
    ['', 'tool-failed', true],
  ] as const)('understands %j as %s', (stderr, code, retryable) => {
    const error = failure(stderr);
    expect(error).toMatchObject({ code, retryable, context: { command: 'qemu-img', exitCode: 1 } });
    expect(error.message).toMatch(/^Converting a to b failed: /);
  });
});
