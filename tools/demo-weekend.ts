/**
 * An unattended weekend: five machines run at a libvirt of the demo's own; a wave waits for its window and for approval,
 * shuts them down in order, moves four of them, and takes back the fifth, which does not boot in the cloud.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import pc from 'picocolors';
import type { RunningTool } from '../src/processes/child.ts';
import { findCloud } from './demo-cloud.ts';
import {
  askLandfall,
  DEMO_HOME,
  forgetLastTime,
  openInBrowser,
  runLandfall,
  type Scene,
  say,
  startSandbox,
  startUp,
  startUpWithDashboard,
  startWorker,
} from './demo-scene.ts';
import { startWeekendEstate, untilLoggedIn, WEEKEND_GUESTS } from './libvirt/estate.ts';
import { type OwnLibvirt, startLibvirt } from './libvirt/libvirtd.ts';
import { openSoon } from './libvirt/weekend-wave.ts';

const EXIT_PARTIAL = 3;
const OPENS_IN_SECONDS = 20;
/** The one that is tied to its virtio disk. */
const TAKEN_BACK = 'old-batch';

/** Gives the exit status. */
export async function cutOverWeekend({
  killsWorkers,
  hasDashboard,
  signal,
}: {
  killsWorkers: boolean;
  /** Then it stays, with all that it shows, until somebody ends the demo. */
  hasDashboard: boolean;
  signal: AbortSignal;
}): Promise<number> {
  const startedAt = performance.now();
  await setUp(signal);
  await using stack = new AsyncDisposableStack();
  await forgetLastTime();
  say(`Starting a libvirt with five running machines: ${WEEKEND_GUESTS.map(({ name }) => name).join(', ')}`);
  const libvirt = stack.use(await startLibvirt());
  const guests = await startWeekendEstate(libvirt, { cacheFolder: join(DEMO_HOME, 'guest-cache'), signal });
  await untilLoggedIn(libvirt, guests, signal);

  const cloud = findCloud('aws');
  if (cloud === null) throw new Error('there is no sandbox for AWS');
  say(`Starting the sandbox cloud: ${cloud.serves}`);
  const sandbox = await startSandbox(stack, { cloud, signal });
  const environment = { ...sandbox.environment, LANDFALL_HOME: DEMO_HOME, DEMO_LIBVIRT_URI: libvirt.uri };
  const scene: Scene = { environment, signal };
  say('Starting Redis and timers (landfall up --no-pools), and two workers with a pool per stage');
  const dashboard = hasDashboard ? await startUpWithDashboard(stack, scene, '--no-pools') : null;
  if (dashboard === null) await startUp(stack, scene, '--no-pools');
  const workers = [await startWorker(stack, scene), await startWorker(stack, scene)];

  if (dashboard !== null) {
    say(`The dashboard: ${dashboard}`);
    await openInBrowser(dashboard);
  }
  const wave = await writeWave();
  say(`landfall run ${wave} --detach: its window opens in ${OPENS_IN_SECONDS} s`);
  const { run } = JSON.parse(await askLandfall(['run', wave, '--detach', '--json'], scene)) as {
    run: string;
  };
  await runLandfall(['status', run], scene);
  say(`landfall approve ${run} --reason "change 4711"`);
  await runLandfall(['approve', run, '--reason', 'change 4711'], scene);

  say(`landfall watch ${run}`);
  const killing = killsWorkers ? killInTheMiddle(stack, { run, workers, scene }) : null;
  const status = await runLandfall(['watch', run], scene);
  await killing;
  say(`landfall status ${run}`);
  await runLandfall(['status', run], scene);
  say(`landfall audit ${run}`);
  await runLandfall(['audit', run], scene);
  say('What libvirt says of the machines at their source');
  const isAsItShould = status === EXIT_PARTIAL && (await compareSource(libvirt));
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  if (isAsItShould)
    console.log(
      `\nFour machines landed in order, and ${TAKEN_BACK} runs again where it was, in ${seconds} s, with nobody's hand on them.`,
    );
  if (dashboard !== null) await untilEnded(dashboard, signal);
  return isAsItShould ? 0 : 1;
}

async function untilEnded(dashboard: string, signal: AbortSignal): Promise<void> {
  say(`The dashboard stays at ${dashboard} until you end the demo (Ctrl-C)`);
  if (!signal.aborted) await once(signal, 'abort');
}

/** Only this demo needs a libvirt, so `npm run demo` has not seen to it. */
async function setUp(signal: AbortSignal): Promise<void> {
  const script = join(import.meta.dirname, 'setup.mjs');
  await execa(process.execPath, [script, 'weekend'], { stdio: 'inherit', cancelSignal: signal });
}

async function writeWave(): Promise<string> {
  const path = join(DEMO_HOME, 'weekend.yaml');
  await writeFile(path, await openSoon({ opensInSeconds: OPENS_IN_SECONDS }));
  return path;
}

/** Once a disk is on its way: all workers die at once, without a word, and new ones take their place. */
async function killInTheMiddle(
  stack: AsyncDisposableStack,
  { run, workers, scene }: { run: string; workers: readonly RunningTool[]; scene: Scene },
): Promise<void> {
  await untilUploading(run, scene);
  for (const worker of workers) process.kill(worker.pid, 'SIGKILL');
  await Promise.all(workers.map((worker) => worker.exited));
  await Promise.all(workers.map(() => startWorker(stack, scene)));
}

async function untilUploading(run: string, scene: Scene): Promise<void> {
  for (;;) {
    const said = JSON.parse(await askLandfall(['status', run, '--json'], scene)) as {
      machines: { steps: Record<string, { state: string }> }[];
    };
    const isUploading = said.machines.some(({ steps }) =>
      Object.entries(steps).some(([key, { state }]) => key.startsWith('upload') && state !== 'pending'),
    );
    if (isUploading) return;
    await sleep(500, undefined, { signal: scene.signal });
  }
}

async function compareSource(libvirt: OwnLibvirt): Promise<boolean> {
  let isEqual = true;
  for (const { name } of WEEKEND_GUESTS) {
    const wanted = name === TAKEN_BACK ? 'running' : 'shut off';
    const state = (await libvirt.virsh('domstate', name)).trim();
    const isAsWanted = state === wanted;
    console.log(`${isAsWanted ? pc.green('✔') : pc.red('✖')} ${name} is ${state}`);
    isEqual &&= isAsWanted;
  }
  const isAutostarted = /Autostart: +enable/.test(await libvirt.virsh('dominfo', TAKEN_BACK));
  console.log(
    `${isAutostarted ? pc.green('✔') : pc.red('✖')} ${TAKEN_BACK} ${isAutostarted ? 'starts' : 'does NOT start'} with its host, as before`,
  );
  return isEqual && isAutostarted;
}
