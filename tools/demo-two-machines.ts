/** Two machines, from files: their guests say what they read from their disks, and that is compared with the source. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import type { DemoCloud } from './demo-cloud.ts';
import { DEMO_HOME, forgetLastTime, runLandfall, say, startSandbox, startUp } from './demo-scene.ts';
import { buildEstate, type Estate } from './estate/build.ts';

/** Gives the exit status. */
export async function moveTwoMachines(cloud: DemoCloud, signal: AbortSignal): Promise<number> {
  const startedAt = performance.now();
  say('Building a tiny on-prem estate: shop-db (OVA, BIOS, two disks) and shop-web (qcow2, UEFI)');
  const estate = await buildEstate({
    folder: join(DEMO_HOME, 'estate'),
    signal,
    log: (line) => console.log(`  ${line}`),
  });
  if (await forgetLastTime()) console.log('  Removed what the last demo left: its cloud, run and evidence');
  await using stack = new AsyncDisposableStack();

  say(`Starting the sandbox cloud: ${cloud.serves}`);
  const sandbox = await startSandbox(stack, { cloud, signal });
  // Workers read all of it, NODE_EXTRA_CA_CERTS among it, once, when they start.
  const environment = { ...sandbox.environment, LANDFALL_HOME: DEMO_HOME };
  say('Starting Redis and one worker pool per stage (landfall up)');
  await startUp(stack, { environment, signal });

  say(`landfall run ${cloud.wave}`);
  const status = await runLandfall(['run', cloud.wave], { environment, signal });
  if (status !== 0) return status;
  say('What the guests say about their disks, against the files at the source');
  return (await compareHashes(estate)) ? finish(startedAt) : 1;
}

async function compareHashes(estate: Estate): Promise<boolean> {
  let isEqual = true;
  for (const { machine, disk, sha256, file } of estate.expected) {
    const text = await readConsole(machine);
    const isFound = text.includes(`landfall-guest disk ${disk} sha256 ${sha256}`);
    const sign = isFound ? pc.green('✔') : pc.red('✖');
    console.log(
      `${sign} ${machine} disk ${disk}: sha256 ${sha256.slice(0, 16)}… of ${file}${isFound ? '' : ' is NOT what the guest read'}`,
    );
    isEqual &&= isFound;
  }
  return isEqual;
}

async function readConsole(machine: string): Promise<string> {
  const evidence = join(DEMO_HOME, 'evidence');
  for (const run of await readdir(evidence)) {
    const found = await readFile(join(evidence, run, machine, 'console.txt'), 'utf8').catch(() => null);
    if (found !== null) return found;
  }
  return '';
}

function finish(startedAt: number): number {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  console.log(
    `\nTwo machines landed and proved that they boot, in ${seconds} s (set-up not counted). Evidence, until the next demo: ${join(DEMO_HOME, 'evidence')}`,
  );
  return 0;
}
