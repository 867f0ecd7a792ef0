/**
 * The source `files`. Nothing runs at this source, so power is always off; a file that changes all the same is caught
 * by its fingerprint. Images are read where they are; only what gzip compressed is unpacked, into staging.
 */
import { resolve } from 'node:path';
import type { AdapterEnvironment } from '../../../src/domain/adapter.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Image } from '../../../src/domain/image.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import type { ExportRequest, Source, StepContext } from '../../../src/domain/ports.ts';
import { readAppliance } from '../../../src/images/appliance.ts';
import type { ApplianceMachine, ReadOptions } from '../../../src/images/appliance-machine.ts';
import { type BareDisk, readBareMachine } from '../../../src/images/bare-machine.ts';
import { fingerprintLayout } from '../../../src/images/fingerprint.ts';
import { createVerdicts, verdictFolder } from '../../../src/images/manifest-verdicts.ts';
import { openImageOverNbd } from '../../../src/images/qemu-nbd.ts';
import { readFolder } from './folder.ts';
import { type FilesMachineOptions, type FilesOptions, machineOptions, memoryBytes } from './options.ts';
import { preflightFiles } from './preflight.ts';
import { removeUnpacked, unpackDisk } from './unpack.ts';

export function createFilesSource(options: FilesOptions, environment: AdapterEnvironment): Source {
  const folder = resolve(environment.waveFolder, options.folder ?? '.');
  const { scratchFolder } = environment;
  const verdicts = createVerdicts(verdictFolder(environment.cacheFolder));
  const read = (from: JsonObject, reading: Omit<ReadOptions, 'verdicts' | 'scratchFolder'>) =>
    readMachines({ from: machineOptions(from), folder, reading: { ...reading, verdicts, scratchFolder } });
  return {
    machines: async (from, signal) => (await read(from, { signal })).map(withUnpackedBytes),
    preflight: async (machines) => preflightFiles(machines),
    powerState: async () => 'off',
    export: async (request, context) => {
      const onManifestProgress = createManifestNote(request, context);
      const found = await read(request.from, { signal: context.signal, onManifestProgress });
      return await exportDisk({ request, context, found });
    },
    open: openImageOverNbd,
    fingerprint: ({ layout }) => fingerprintLayout(layout),
    release: async ({ machine }, context) => {
      for (const { id } of machine.disks) await removeUnpacked(id, context);
    },
  };
}

function withUnpackedBytes({ machine, contents }: ApplianceMachine): Machine {
  const disks = machine.disks.map((disk) => {
    const content = contents[disk.id];
    return content?.kind === 'gzip' ? { ...disk, unpackedBytes: content.gzip.unpackedBytes } : disk;
  });
  return { ...machine, disks };
}

type Reading = { from: FilesMachineOptions; folder: string; reading: ReadOptions };

async function readMachines({ from, folder, reading }: Reading): Promise<ApplianceMachine[]> {
  const found = await readFiles({ from, folder, reading });
  return found.map(({ machine, contents }) => ({ machine: override(machine, from), contents }));
}

async function readFiles({ from, folder, reading }: Reading): Promise<ApplianceMachine[]> {
  if (from.folder !== undefined)
    return await readFolder({ folder: resolve(folder, from.folder), name: from.name }, reading);
  if (from.path !== undefined) {
    const path = resolve(folder, from.path);
    return chooseMachine(await readAppliance(path, reading), { path, name: from.name });
  }
  const [first, ...more] = (from.disks ?? []).map(
    ({ path, format }): BareDisk => ({ path: resolve(folder, path), format }),
  );
  // The schema lets no `from` pass that has none of them.
  if (first === undefined)
    throw new TypeError('a machine of the source files has no path, no disks and no folder');
  return [await readBareMachine([first, ...more], reading)];
}

function chooseMachine(
  found: ApplianceMachine[],
  { path, name }: { path: string; name: string | undefined },
): ApplianceMachine[] {
  if (name === undefined) return found;
  const chosen = found.filter(({ machine }) => machine.name === name);
  if (chosen.length > 0) return chosen;
  const names = found.map(({ machine }) => machine.name).join(', ');
  throw new LandfallError({
    code: 'not-found',
    message: `${path} holds no machine ${JSON.stringify(name)}; it holds ${names}. Set \`name\` to one of these.`,
    context: { name },
  });
}

function override(machine: Machine, from: FilesMachineOptions): Machine {
  return {
    ...machine,
    firmware: from.firmware ?? machine.firmware,
    secureBoot: from.secureBoot ?? machine.secureBoot,
    cpus: from.cpus ?? machine.cpus,
    memoryBytes: from.memory === undefined ? machine.memoryBytes : memoryBytes(from.memory),
    os: from.os ?? machine.os,
    assumed: (machine.assumed ?? []).filter((fact) => from[OPTIONS[fact]] === undefined),
  };
}

const OPTIONS = { firmware: 'firmware', cpus: 'cpus', memoryBytes: 'memory' } as const;

async function exportDisk(exported: {
  request: ExportRequest;
  context: StepContext;
  found: readonly ApplianceMachine[];
}): Promise<Image> {
  const { request, context, found } = exported;
  const { machine, disk: id, stagingFolder } = request;
  // By identity: in its wave the machine may go by another name.
  const now = found.find((candidate) => candidate.machine.identity === machine.identity);
  const planned = machine.disks.find((disk) => disk.id === id);
  const disk = now?.machine.disks.find((candidate) => candidate.id === id);
  const content = now?.contents[id];
  if (disk === undefined || content === undefined || disk.bytes !== planned?.bytes) {
    throw changedSincePlan({ request, now: disk?.bytes ?? null, planned: planned?.bytes ?? null });
  }
  switch (content.kind) {
    case 'image':
      return { site: null, ...content.image };
    case 'gzip':
      return { site: null, ...(await unpackDisk({ disk: id, gzip: content.gzip, stagingFolder, context })) };
    default:
      return content satisfies never;
  }
}

/** While a manifest is checked nothing of the disk is held anywhere: only the note moves. */
function createManifestNote({ machine, disk }: ExportRequest, context: StepContext) {
  const totalBytes = machine.disks.find(({ id }) => id === disk)?.bytes ?? 0;
  let shown = -1;
  return (progress: { doneBytes: number; totalBytes: number }): void => {
    const percent = Math.floor((100 * progress.doneBytes) / Math.max(1, progress.totalBytes));
    if (percent === shown) return;
    shown = percent;
    context.report({ doneBytes: 0, totalBytes, note: `checking the manifest: ${percent} %` });
  };
}

function changedSincePlan(change: {
  request: ExportRequest;
  now: number | null;
  planned: number | null;
}): LandfallError {
  const { request, now, planned } = change;
  const { machine, disk } = request;
  const found = now === null ? 'it is not there any more' : `it had ${planned} bytes and has ${now}`;
  return new LandfallError({
    code: 'source-changed',
    message: `Export of ${machine.name} disk ${disk} stopped: since it was planned its source changed, ${found}. Bring the files back as they were, or discard the machine and plan it anew.`,
    context: { machine: machine.name, disk, planned, now },
  });
}
