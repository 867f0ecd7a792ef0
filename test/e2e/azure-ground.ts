/** The sandbox's Azure beside that of AWS: one home and one estate, waves that land at either. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { JsonObject } from '../../src/domain/json.ts';
import { type AzureFixture, GROUP, startAzureFixture } from '../sandbox/azure/fixture.ts';
import { type Ground, openGround } from './ground.ts';

export type AzureGround = AsyncDisposable & { ground: Ground; azure: AzureFixture };

const WORKFLOWS = join(import.meta.dirname, '..', '..', 'workflows');

export async function openAzureGround(): Promise<AzureGround> {
  await using stack = new AsyncDisposableStack();
  const azure = stack.use(await startAzureFixture());
  const { environment } = azure.sandbox;
  const ground = stack.use(await openGround({ environment: { ...NO_OTHER_ACCOUNT, ...environment } }));
  const owned = stack.move();
  return { ground, azure, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** What the credential chain would ask before the managed identity. */
const NO_OTHER_ACCOUNT = {
  AZURE_CLIENT_ID: '',
  AZURE_TENANT_ID: '',
  AZURE_CLIENT_SECRET: '',
  AZURE_FEDERATED_TOKEN_FILE: '',
};

/** A wave of the demo as it stands in workflows/, with other machines. */
export async function writeDemoWave(
  { folder }: Ground,
  wave: {
    from: string;
    name: string;
    sourceFolder: string;
    machines(demos: readonly JsonObject[]): readonly JsonObject[];
  },
): Promise<string> {
  const { from, name, sourceFolder, machines } = wave;
  const demo = parse(await readFile(join(WORKFLOWS, from), 'utf8')) as { machines: JsonObject[] };
  const changed = {
    ...demo,
    name,
    source: { files: { folder: sourceFolder } },
    machines: machines(demo.machines),
  };
  const file = join(folder, `${name}.yaml`);
  await writeFile(file, JSON.stringify(changed, null, 2));
  return file;
}

/** Everything at Azure that carries a run's tag, as `kind name`. */
export async function azureHoldings({ compute, network }: AzureFixture, run: string): Promise<string[]> {
  const lists = {
    disk: compute.disks.listByResourceGroup(GROUP),
    snapshot: compute.snapshots.listByResourceGroup(GROUP),
    machine: compute.virtualMachines.list(GROUP),
    interface: network.networkInterfaces.list(GROUP),
    group: network.networkSecurityGroups.list(GROUP),
  };
  const found: string[] = [];
  for (const [kind, list] of Object.entries(lists)) {
    for await (const { name, tags } of list)
      if (tags?.['landfall-run'] === run) found.push(`${kind} ${name}`);
  }
  return found;
}

/** The disks of a virtual machine, the one that it boots from first, as the sandbox keeps what was uploaded: raw files. */
export async function azureDisks(
  { compute, folder }: AzureFixture,
  virtualMachine: string,
): Promise<string[]> {
  const { storageProfile } = await compute.virtualMachines.get(GROUP, virtualMachine);
  const { osDisk, dataDisks = [] } = storageProfile ?? {};
  const files: string[] = [];
  for (const { managedDisk } of [osDisk, ...dataDisks].flatMap((disk) => disk ?? [])) {
    const { uniqueId } = await compute.disks.get(GROUP, managedDisk?.id?.split('/').at(-1) ?? '');
    files.push(join(folder, 'disks', `${uniqueId}.raw`));
  }
  return files;
}
