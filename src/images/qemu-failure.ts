/** What the words of qemu's tools mean to an operator. */
import { type ErrorCode, LandfallError } from '../domain/errors.ts';

type Meaning = { said: RegExp; code: ErrorCode; retryable: boolean; remedy: string };

const MEANINGS: readonly Meaning[] = [
  {
    said: /is not installed/,
    code: 'tool-missing',
    retryable: false,
    remedy: 'Install the Debian package qemu-utils (`npm run setup` does).',
  },
  {
    said: /Failed to connect|Connection (refused|reset)|Server disconnected|server dropped/i,
    code: 'tool-failed',
    retryable: true,
    remedy: 'The process that serves the source ended or cannot be reached; the next try starts a new one.',
  },
  {
    said: /Failed to get .*lock/i,
    code: 'source-not-off',
    retryable: false,
    remedy:
      'Another program has the image open for writing: shut its virtual machine down, then run `landfall retry`.',
  },
  {
    said: /No space left on device|Disk quota exceeded/i,
    code: 'no-space',
    retryable: true,
    remedy: 'Free space there, or set a larger staging folder.',
  },
  {
    said: /Permission denied|Operation not permitted/i,
    code: 'image-unreadable',
    retryable: false,
    remedy: 'Let the user that runs the pool read the image and write its staging folder.',
  },
  {
    said: /No such file or directory/i,
    code: 'source-changed',
    retryable: false,
    remedy: 'The image was moved or removed since it was planned: bring it back.',
  },
];

export function qemuFailure(failure: {
  /** As the start of a sentence: "Serving /vm/a.qcow2 failed". */
  attempted: string;
  command: string;
  exitCode: number;
  stderr: string;
}): LandfallError {
  const { attempted, command, exitCode } = failure;
  const words = failure.stderr.trim().split('\n').slice(-3).join(' | ') || 'it said nothing';
  const said = `${attempted}: ${command} ended with status ${exitCode} (${words}).`;
  const meaning = MEANINGS.find((candidate) => candidate.said.test(failure.stderr));
  return new LandfallError({
    code: meaning?.code ?? 'tool-failed',
    message: `${said} ${meaning?.remedy ?? 'If it fails again, check the image with `qemu-img check` and the log of the storage it lies on.'}`,
    retryable: meaning?.retryable ?? true,
    context: { command, exitCode },
  });
}
