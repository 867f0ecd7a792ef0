import { expect, test } from 'vitest';
import { listMade } from '../../src/operations/made-things.ts';

test.each([
  ['instance', { instanceId: 'i-1' }, [{ kind: 'instance', id: 'i-1' }]],
  ['instance', null, [{ kind: 'instance', id: null }]],
  ['quarantine', { groupId: 'sg-1', vpc: 'vpc-1' }, [{ kind: 'security-group', id: 'sg-1' }]],
  ['import-task:0', { taskId: 'import-snap-1' }, [{ kind: 'import-task', id: 'import-snap-1' }]],
  ['import-task:0', { taskId: 'import-snap-1', snapshotId: 'snap-1' }, [{ kind: 'snapshot', id: 'snap-1' }]],
  [
    'import-task',
    { taskId: 'import-ami-1', imageId: 'ami-1', snapshotIds: ['snap-1', 'snap-2'] },
    [
      { kind: 'image', id: 'ami-1' },
      { kind: 'snapshot', id: 'snap-1' },
      { kind: 'snapshot', id: 'snap-2' },
    ],
  ],
  [
    'upload:0',
    { bucket: 'b', key: 'k/web01.vmdk', crc32: 'x' },
    [{ kind: 'object', id: 's3://b/k/web01.vmdk' }],
  ],
  ['disk:0', { contentId: 'c', diskId: '/subscriptions/s', name: 'd-1' }, [{ kind: 'disk', id: 'd-1' }]],
  ['disk:0', { contentId: 'c' }, [{ kind: 'disk', id: null }]],
  ['snapshot:1', { name: 's-1' }, [{ kind: 'snapshot', id: 's-1' }]],
  ['virtual-machine', { virtualMachine: 'web01', vmId: 'v-1' }, [{ kind: 'virtual-machine', id: 'web01' }]],
  ['network-interface', { networkInterface: 'n-1' }, [{ kind: 'network-interface', id: 'n-1' }]],
  ['admission', { machine: 'web01', group: '/subscriptions/s' }, []],
  ['admission', { instanceId: 'i-1', groups: ['sg-1'] }, []],
])('%s with %j made %j', (thing, ref, made) => {
  expect(listMade({ thing, ref })).toEqual(made);
});
