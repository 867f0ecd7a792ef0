/**
 * From objects in a bucket, or snapshots, to an instance that runs under quarantine. Each call walks the same list of steps and returns
 * at the first that has to wait: where things stand is in the ledger and at AWS, never in this process.
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Landing } from '../../../src/domain/landing.ts';
import type { ImportRequest, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import { tidyUp } from '../../../src/domain/tidy.ts';
import type { Aws } from './clients.ts';
import { registerImage } from './image.ts';
import { importImage } from './import-image.ts';
import { importSnapshots, type Snapshots } from './import-snapshot.ts';
import { startInstance } from './instance.ts';
import { landingOf } from './landing.ts';
import { deleteObject, objectRef } from './object.ts';
import { machineOptions, viaOf } from './options.ts';
import { openQuarantine } from './quarantine.ts';

type ImportedImage = { imageId: string; snapshots: Snapshots };

export async function importMachine(
  aws: Aws,
  request: ImportRequest,
  context: StepContext,
): Promise<StepOutcome<Landing>> {
  const subnet = subnetOf(request);
  const imported = await makeImage(aws, request, context);
  if (imported.kind === 'wait') return imported;
  const { imageId, snapshots } = imported.value;
  const quarantineGroup = await openQuarantine(aws, subnet, context);
  const started = await startInstance(aws, { request, imageId, quarantineGroup, subnet, context });
  if (started.kind === 'wait') return started;
  if (!aws.options.keep) await tidyUp(context, () => deleteObjects(aws, context));
  const instance = started.value;
  const landing = landingOf({
    region: aws.options.region,
    instanceId: instance.InstanceId as string,
    imageId,
    subnet,
    privateIp: instance.PrivateIpAddress ?? null,
    snapshots: { ...snapshots },
    quarantineGroup,
    groups: (instance.SecurityGroups ?? []).flatMap(({ GroupId }) => GroupId ?? []),
  });
  return { kind: 'done', value: landing };
}

async function makeImage(
  aws: Aws,
  request: ImportRequest,
  context: StepContext,
): Promise<StepOutcome<ImportedImage>> {
  if (viaOf(aws.options, request.to) === 'import-image') {
    const image = await importImage(aws, request, context);
    if (image.kind === 'wait') return image;
    return { kind: 'done', value: { imageId: image.value, snapshots: {} } };
  }
  const imported = await importSnapshots(aws, request, context);
  if (imported.kind === 'wait') return imported;
  const snapshots = imported.value;
  const image = await registerImage(aws, { request, snapshots, context });
  if (image.kind === 'wait') return image;
  return { kind: 'done', value: { imageId: image.value, snapshots } };
}

/** Last of all: until the instance runs, a retry may need them. */
async function deleteObjects(aws: Aws, context: StepContext): Promise<void> {
  for (const entry of await context.ledger.entries()) {
    const object = objectRef(entry.ref);
    if (!entry.thing.startsWith('upload:') || entry.state !== 'done' || object === null) continue;
    await deleteObject(aws.s3, object, context.signal);
    await context.ledger.settle(entry, 'discarded');
  }
}

function subnetOf({ machine, to }: ImportRequest): string {
  const { subnet } = machineOptions(to);
  if (subnet !== undefined) return subnet;
  throw new LandfallError({
    code: 'target-refused',
    message: `${machine.name} has no subnet to land in. Set \`subnet\` under \`to:\` or \`defaults: to:\`.`,
  });
}
