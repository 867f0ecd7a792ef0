/** A source in memory that turns its machine off and on, with a guest that does as the test says. */
import { LandfallError } from '../../src/domain/errors.ts';
import type { Machine } from '../../src/domain/machine.ts';
import type { Finding, PowerState, SourceControl } from '../../src/domain/ports.ts';
import { createFakeSource, type FakeSource } from './source.ts';

export type ControlledSource = FakeSource & {
  readonly control: SourceControl;
  isAutostarted: boolean;
  note: string | null;
  /** Does its guest end when it is asked? `slow`: when the test says `endGuest`. */
  guest: 'obedient' | 'slow' | 'deaf';
  /** A slow guest that was asked comes to its end. */
  endGuest(): void;
  /** What holds its disks, so that it cannot start. */
  holder: string | null;
  /** While set, nothing there answers. */
  isAway: boolean;
  findings: Finding[];
  /** Changes that were made there, in order: "asked", "cut off", "on", "autostart off", "note …". */
  changes: string[];
};

export function createControlledSource(machine: Machine): ControlledSource {
  const source = createFakeSource({ machine, images: {} });
  let wasAsked = false;
  const answer = (): void => {
    if (controlled.isAway) throw away();
  };
  const turn = (power: PowerState, change: string): void => {
    controlled.power = power;
    controlled.changes.push(change);
  };
  const control: SourceControl = {
    requestShutDown: async () => {
      answer();
      if (controlled.power === 'off') return;
      wasAsked = true;
      controlled.changes.push('asked');
      if (controlled.guest === 'obedient') controlled.power = 'off';
    },
    cutOff: async () => {
      answer();
      if (controlled.power === 'on') turn('off', 'cut off');
    },
    powerOn: async () => {
      answer();
      if (controlled.holder !== null) throw held(controlled.holder);
      if (controlled.power === 'off') turn('on', 'on');
    },
    isAutostarted: async () => {
      answer();
      return controlled.isAutostarted;
    },
    setAutostart: async (_machine, isAutostarted) => {
      answer();
      if (controlled.isAutostarted === isAutostarted) return;
      controlled.isAutostarted = isAutostarted;
      controlled.changes.push(`autostart ${isAutostarted ? 'on' : 'off'}`);
    },
    readNote: async () => {
      answer();
      return controlled.note;
    },
    writeNote: async (_machine, note) => {
      answer();
      if (controlled.note === note) return;
      controlled.note = note;
      controlled.changes.push(note === null ? 'no note' : 'note');
    },
  };
  const controlled: ControlledSource = Object.assign(source, {
    control,
    power: 'on' as PowerState,
    isAutostarted: true,
    note: null,
    guest: 'obedient' as const,
    endGuest: () => {
      if (wasAsked) controlled.power = 'off';
    },
    holder: null,
    isAway: false,
    findings: [],
    changes: [],
    fingerprint: async () => 'state-1',
    preflight: async () => {
      answer();
      return controlled.findings;
    },
    powerState: async () => {
      answer();
      return controlled.power;
    },
  });
  return controlled;
}

function away(): LandfallError {
  return new LandfallError({ code: 'source-unavailable', message: 'libvirt is away', retryable: true });
}

function held(holder: string): LandfallError {
  return new LandfallError({ code: 'conflict', message: `${holder} has its disks open`, retryable: true });
}
