import { expect, test } from 'vitest';
import { deviceNames } from '../../../../adapters/targets/aws/device-names.ts';
import { machineWith } from '../machines.ts';

test('the disk that boots is the root, the others follow in bus order', () => {
  const machine = machineWith({ diskCount: 3, bootDisk: '1' });
  expect(deviceNames(machine)).toEqual([
    { disk: '1', device: '/dev/sda1' },
    { disk: '0', device: '/dev/sdf' },
    { disk: '2', device: '/dev/sdg' },
  ]);
});

test('21 disks have 21 names, one more has none', () => {
  const devices = deviceNames(machineWith({ diskCount: 21 })).map(({ device }) => device);
  expect(new Set(devices).size).toBe(21);
  expect(devices.at(-1)).toBe('/dev/sdy');
  expect(() => deviceNames(machineWith({ diskCount: 22 }))).toThrow(RangeError);
});
