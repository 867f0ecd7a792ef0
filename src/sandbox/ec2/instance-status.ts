/** What can be seen of an instance from outside: status checks, console, screen. */

import type { Health } from '../health.ts';
import { booleanParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { findOne, findVisible } from './instance-lookup.ts';
import { describeState } from './instance-xml.ts';
import { cutPage, filterMembers, filterParameters, idsParameter, pageParameters } from './query.ts';
import { refuse } from './refusals.ts';
import { pngToJpeg } from './screenshot.ts';
import type { Instance } from './state.ts';

/** What AWS keeps of a console. */
const CONSOLE_BYTES = 64 * 1024;

export function instanceStatusActions(desk: Ec2Desk): QueryActions {
  return {
    DescribeInstanceStatus: describeInstanceStatus(desk),
    GetConsoleOutput: getConsoleOutput(desk),
    GetConsoleScreenshot: getConsoleScreenshot(desk),
  };
}

/** Running instances only, unless all are asked for. */
function describeInstanceStatus(desk: Ec2Desk) {
  return defineEc2Action(
    {
      InstanceId: idsParameter,
      IncludeAllInstances: booleanParameter.optional(),
      ...filterParameters,
      ...pageParameters,
    },
    async (input) => {
      const found = findVisible({ desk, state: desk.store.read(), ids: input.InstanceId });
      const shown = found.filter(({ state }) => input.IncludeAllInstances === true || state === 'running');
      const looks = await Promise.all(shown.map((instance) => look(desk, instance)));
      const page = cutPage({
        members: filterMembers({
          members: looks,
          filters: input.Filter,
          tags: null,
          fields: {
            'instance-state-name': ({ instance }) => instance.state,
            'instance-status.status': ({ guest }) => guest,
            'system-status.status': ({ host }) => host,
            'availability-zone': ({ instance }) => instance.interface.zone,
          },
        }),
        orderOf: ({ instance }) => instance.id,
        maxResults: input.MaxResults,
        nextToken: input.NextToken,
      });
      return { instanceStatusSet: page.members.map(describeLook), nextToken: page.nextToken };
    },
  );
}

type Look = { instance: Instance; guest: Health | 'not-applicable'; host: Health | 'not-applicable' };

/** The host is sound whenever the guest runs: a fault of the sandbox itself stops the instance. */
async function look(desk: Ec2Desk, instance: Instance): Promise<Look> {
  if (instance.state !== 'running') return { instance, guest: 'not-applicable', host: 'not-applicable' };
  const guest = await desk.fleet.health(instance.id);
  return { instance, guest, host: guest === 'initializing' ? 'initializing' : 'ok' };
}

const REACHABILITY: Readonly<Record<Health, string>> = {
  initializing: 'initializing',
  ok: 'passed',
  impaired: 'failed',
};

function describeLook({ instance, guest, host }: Look): XmlObject {
  return {
    instanceId: instance.id,
    availabilityZone: instance.interface.zone,
    instanceState: describeState(instance.state),
    instanceStatus: describeCheck(guest),
    systemStatus: describeCheck(host),
    attachedEbsStatus: describeCheck(host),
  };
}

function describeCheck(status: Health | 'not-applicable'): XmlObject {
  if (status === 'not-applicable') return { status };
  return { status, details: [{ name: 'reachability', status: REACHABILITY[status] }] };
}

/** `Latest` and without are the same here: the console is always at hand. */
function getConsoleOutput(desk: Ec2Desk) {
  return defineEc2Action(
    { InstanceId: textParameter, Latest: booleanParameter.optional() },
    async ({ InstanceId: id }) => {
      findOne(desk, desk.store.read(), id);
      const bytes = Buffer.from(await desk.fleet.console(id));
      const output = bytes.subarray(-CONSOLE_BYTES).toString('base64');
      return { instanceId: id, timestamp: new Date(desk.clock.now()), output: output === '' ? null : output };
    },
  );
}

function getConsoleScreenshot(desk: Ec2Desk) {
  return defineEc2Action(
    { InstanceId: textParameter, WakeUp: booleanParameter.optional() },
    async ({ InstanceId: id }, { signal }) => {
      const instance = findOne(desk, desk.store.read(), id);
      const png =
        instance.state === 'running' ? await desk.fleet.screenshot(id, signal).catch(() => null) : null;
      if (png === null) {
        throw refuse(
          'IncorrectInstanceState',
          `The instance '${id}' must be in a 'running' state for this operation.`,
        );
      }
      return { instanceId: id, imageData: Buffer.from(pngToJpeg(png)).toString('base64') };
    },
  );
}
