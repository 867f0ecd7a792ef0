import { describe, expect, it } from 'vitest';
import type { Observation } from '../../src/domain/landing.ts';
import type { AssumedFact } from '../../src/domain/machine.ts';
import { bootFailed, bootTimedOut, type Look, landingEnded } from '../../src/stages/boot-verdict.ts';
import { findFailure } from '../../src/stages/console-failures.ts';
import { createMachine, createRecord } from '../fakes/machine.ts';
import { LANDING } from '../fakes/target.ts';

const DISCARD = '`landfall discard run-1 web01`';
const RETRY = '`landfall retry run-1 web01`';
const MEND_GUEST = `${DISCARD}, mend it at its source, ${RETRY}`;
const NEW_RUN =
  '`landfall cancel run-1`, `landfall cleanup run-1`, edit the file (take out what landed), `landfall run WAVE --again`';
const OTHER_FIRMWARE = '`firmware: uefi` under `from:`';

function lookAt(
  lines: readonly string[],
  { assumed = [], state = 'running' }: { assumed?: AssumedFact[]; state?: Observation['state'] } = {},
): Look {
  const machine = { ...createMachine(), assumed };
  return {
    record: { ...createRecord({ machine }), landing: LANDING },
    observation: { state, checks: [], console: lines.join('\n'), screenshot: null },
    lines,
    sighting: {
      landing: LANDING.id,
      firstSeenAt: 0,
      lines: [null],
      provenAt: null,
      consoleDigest: null,
      screenshotDigest: null,
    },
    consoleAt: null,
    screenshotAt: null,
  };
}

/** `status` shows the first line only. */
function firstLine({ message }: Error): string {
  return message.split('\n')[0] ?? '';
}

function failed(look: Look): string {
  const failure = findFailure(look.lines, []);
  if (failure === null) throw new Error('this console shows no failure');
  return firstLine(bootFailed(look, failure));
}

describe('what an operator is told to do', () => {
  it('after a timeout: look again, or change the guest, or the wave in a run of its own', () => {
    const line = firstLine(bootTimedOut(lookAt(['idle']), 60));
    expect(line).toContain(`Slow boot: ${RETRY} looks again with a fresh deadline.`);
    expect(line).toContain(MEND_GUEST);
    expect(line).toContain(NEW_RUN);
    expect(line).not.toContain('proof.deadline');
  });

  it('after a panic: no look again, which would see the same panic', () => {
    const line = failed(lookAt(['Kernel panic - not syncing: no init']));
    expect(line).toContain(MEND_GUEST);
    expect(line).toContain(NEW_RUN);
    expect(line).not.toContain('Slow boot');
  });

  it('of a landing that is gone: land it again', () => {
    expect(firstLine(landingEnded(lookAt([], { state: 'gone' })))).toContain(
      `Then ${DISCARD} and ${RETRY} land it again.`,
    );
  });

  it('of one that stopped: land it again, or change the guest', () => {
    const line = firstLine(landingEnded(lookAt(['reboot: Power down'], { state: 'stopped' })));
    expect(line).toContain(`Stopped from outside: ${DISCARD} and ${RETRY} land it again.`);
    expect(line).toContain(MEND_GUEST);
  });
});

describe('where the wave takes failures back', () => {
  const back = (look: Look): Look => ({
    ...look,
    record: { ...look.record, plan: { ...look.record.plan, onFailure: 'rollback' } },
  });

  it('nothing is to be discarded: it is gone, and the source runs', () => {
    const panic = failed(back(lookAt(['Kernel panic - not syncing: no init'])));
    expect(panic).toContain(`Guest must change: mend it at its source, ${RETRY}.`);
    const slow = firstLine(bootTimedOut(back(lookAt(['idle'])), 60));
    expect(slow).toContain('Slow boot: the wave must give it a longer `deadline`');
    const gone = firstLine(landingEnded(back(lookAt([], { state: 'gone' }))));
    for (const line of [panic, slow, gone]) expect(line).not.toContain(DISCARD);
  });
});

describe('firmware that was only assumed', () => {
  const assumed: AssumedFact[] = ['firmware'];

  it.each([
    ['an empty console', []],
    ['a mute boot from disk', ['SeaBIOS (version 1.16)', '', 'Booting from Hard Disk...']],
  ])('is suspected after a timeout with %s', (_, lines) => {
    expect(firstLine(bootTimedOut(lookAt(lines, { assumed }), 60))).toContain(OTHER_FIRMWARE);
  });

  it('is suspected where the firmware found nothing to boot', () => {
    const lines = ['SeaBIOS (version 1.16)', 'Boot failed: not a bootable disk', 'No bootable device.'];
    expect(failed(lookAt(lines, { assumed }))).toContain(OTHER_FIRMWARE);
  });

  it('is not where a kernel or a boot loader spoke', () => {
    for (const spoken of ['[    0.0] Linux version 6.1', 'GRUB loading.']) {
      const look = lookAt(['SeaBIOS', spoken, 'idle'], { assumed });
      expect(firstLine(bootTimedOut(look, 60))).not.toContain('under `from:`');
    }
  });

  it('is not where it was said', () => {
    expect(failed(lookAt(['No bootable device.'], { assumed: ['cpus'] }))).not.toContain('under `from:`');
  });
});
