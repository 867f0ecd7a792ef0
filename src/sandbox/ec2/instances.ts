/** Instances: listed, started, stopped, rebooted, terminated. */
import { booleanParameter, listParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { findVisible } from './instance-lookup.ts';
import { requireInstanceType } from './instance-types.ts';
import { currentBootMode, describeReservation, describeState } from './instance-xml.ts';
import { checkVcpuQuota } from './launch-checks.ts';
import { cutPage, filterMembers, filterParameters, idsParameter, pageParameters } from './query.ts';
import { refuse } from './refusals.ts';
import { runInstances } from './run-instances.ts';
import type { InstanceState } from './state.ts';

export function instanceActions(desk: Ec2Desk): QueryActions {
  return {
    RunInstances: runInstances(desk),
    DescribeInstances: describeInstances(desk),
    StartInstances: startInstances(desk),
    StopInstances: stopInstances(desk),
    RebootInstances: rebootInstances(desk),
    TerminateInstances: terminateInstances(desk),
  };
}

function describeInstances(desk: Ec2Desk) {
  const { store, accountId } = desk;
  return defineEc2Action({ InstanceId: idsParameter, ...filterParameters, ...pageParameters }, (input) => {
    const state = store.read();
    const instances = filterMembers({
      members: findVisible({ desk, state, ids: input.InstanceId }),
      filters: input.Filter,
      tags: (instance) => instance.tags,
      fields: {
        'instance-id': (instance) => instance.id,
        'instance-state-name': (instance) => instance.state,
        'instance-state-code': (instance) => String(describeState(instance.state).code),
        'instance-type': (instance) => instance.instanceType,
        'image-id': (instance) => instance.imageId,
        'subnet-id': (instance) => instance.interface.subnetId,
        'vpc-id': (instance) => instance.interface.vpcId,
        'availability-zone': (instance) => instance.interface.zone,
        'private-ip-address': (instance) => instance.interface.privateIp,
        'instance.group-id': (instance) => instance.interface.groupIds,
        'group-id': (instance) => instance.interface.groupIds,
        'network-interface.network-interface-id': (instance) => instance.interface.id,
        'block-device-mapping.volume-id': (instance) => instance.volumeIds,
        'client-token': (instance) => instance.idempotency?.token,
        'reservation-id': (instance) => instance.reservationId,
        'boot-mode': (instance) => instance.bootMode,
        'current-instance-boot-mode': (instance) => currentBootMode(instance.bootMode),
        architecture: () => 'x86_64',
        'owner-id': () => accountId,
      },
    });
    const page = cutPage({
      members: instances,
      orderOf: ({ launchedAt, reservationId, launchIndex }) =>
        `${String(launchedAt).padStart(15, '0')} ${reservationId} ${launchIndex}`,
      maxResults: input.MaxResults,
      nextToken: input.NextToken,
    });
    const reservations = Map.groupBy(page.members, ({ reservationId }) => reservationId);
    const reservationSet = [...reservations.values()].map((members) =>
      describeReservation(state, { instances: members, accountId }),
    );
    return { reservationSet, nextToken: page.nextToken };
  });
}

function startInstances(desk: Ec2Desk) {
  return defineEc2Action({ InstanceId: listParameter(textParameter) }, async ({ InstanceId: ids }) => {
    const changes = await desk.store.update((state) => {
      const found = findVisible({ desk, state, ids });
      const added = found
        .filter(({ state: name }) => name === 'stopped')
        .reduce((sum, { instanceType }) => sum + requireInstanceType(instanceType).vcpus, 0);
      checkVcpuQuota({ state, added, limit: desk.limits.vcpus });
      return found.map((instance) => {
        const previous = instance.state;
        if (previous === 'running' || previous === 'pending')
          return { id: instance.id, previous, current: previous };
        if (previous !== 'stopped') throw wrongState(instance.id, 'started');
        Object.assign(instance, { state: 'pending', stateReason: null, launchedAt: desk.clock.now() });
        return { id: instance.id, previous, current: instance.state };
      });
    });
    for (const { id, previous } of changes) if (previous === 'stopped') desk.fleet.launch(id);
    return { instancesSet: changes.map(describeChange) };
  });
}

function stopInstances(desk: Ec2Desk) {
  return defineEc2Action(
    {
      InstanceId: listParameter(textParameter),
      Force: booleanParameter.optional(),
      SkipOsShutdown: booleanParameter.optional(),
    },
    async ({ InstanceId: ids, Force: isForced = false, SkipOsShutdown: isSkipped = false }) => {
      const changes = await desk.store.update((state) =>
        findVisible({ desk, state, ids }).map((instance) => {
          const previous = instance.state;
          if (previous === 'stopped') return { id: instance.id, previous, current: previous };
          if (instance.disableApiStop) throw notPermitted(instance.id, 'stopped', 'disableApiStop');
          if (previous === 'shutting-down' || previous === 'terminated')
            throw wrongState(instance.id, 'stopped');
          instance.state = 'stopping';
          instance.stateReason = USER_SHUTDOWN;
          return { id: instance.id, previous, current: instance.state };
        }),
      );
      for (const { id, current } of changes) {
        if (current === 'stopping') desk.fleet.stop(id, { isForced: isForced || isSkipped });
      }
      return { instancesSet: changes.map(describeChange) };
    },
  );
}

function rebootInstances(desk: Ec2Desk) {
  return defineEc2Action({ InstanceId: listParameter(textParameter) }, ({ InstanceId: ids }) => {
    const found = findVisible({ desk, state: desk.store.read(), ids });
    for (const { id, state } of found) if (state !== 'running') throw wrongState(id, 'rebooted');
    for (const { id } of found) desk.fleet.reboot(id);
    return { return: true };
  });
}

function terminateInstances(desk: Ec2Desk) {
  return defineEc2Action(
    {
      InstanceId: listParameter(textParameter),
      Force: booleanParameter.optional(),
      SkipOsShutdown: booleanParameter.optional(),
    },
    async ({ InstanceId: ids }) => {
      const changes = await desk.store.update((state) =>
        findVisible({ desk, state, ids }).map((instance) => {
          const previous = instance.state;
          if (previous === 'terminated') return { id: instance.id, previous, current: previous };
          if (instance.disableApiTermination) {
            throw notPermitted(instance.id, 'terminated', 'disableApiTermination');
          }
          instance.state = 'shutting-down';
          instance.stateReason = USER_SHUTDOWN;
          return { id: instance.id, previous, current: instance.state };
        }),
      );
      for (const { id, previous } of changes) {
        if (previous !== 'terminated' && previous !== 'shutting-down') desk.fleet.terminate(id);
      }
      return { instancesSet: changes.map(describeChange) };
    },
  );
}

const USER_SHUTDOWN = {
  code: 'Client.UserInitiatedShutdown',
  message: 'Client.UserInitiatedShutdown: User initiated shutdown',
};

type Change = { id: string; previous: InstanceState; current: InstanceState };

function describeChange({ id, previous, current }: Change): XmlObject {
  return { instanceId: id, currentState: describeState(current), previousState: describeState(previous) };
}

function wrongState(id: string, done: string) {
  return refuse(
    'IncorrectInstanceState',
    `The instance '${id}' is not in a state from which it can be ${done}.`,
  );
}

function notPermitted(id: string, done: string, attribute: string) {
  return refuse(
    'OperationNotPermitted',
    `The instance '${id}' may not be ${done}. Modify its '${attribute}' instance attribute and try again.`,
  );
}
