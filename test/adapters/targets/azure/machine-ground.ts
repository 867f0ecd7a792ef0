/** An Azure sandbox in which machines land, driven as the stages drive a target. */
import { hash } from 'node:crypto';
import { admitMachine } from '../../../../adapters/targets/azure/admit.ts';
import { type Azure, createAzure } from '../../../../adapters/targets/azure/clients.ts';
import { discardEntry } from '../../../../adapters/targets/azure/discard.ts';
import { importMachine } from '../../../../adapters/targets/azure/import.ts';
import { findTagged, removeTagged } from '../../../../adapters/targets/azure/leftovers.ts';
import { observeMachine } from '../../../../adapters/targets/azure/observe.ts';
import { type AzureOptions, azureOptionsSchema } from '../../../../adapters/targets/azure/options.ts';
import { openPageSink } from '../../../../adapters/targets/azure/page-sink.ts';
import { BLOCK_BYTES } from '../../../../src/blocks/stream-encoder.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Artifact, Landing, Observation } from '../../../../src/domain/landing.ts';
import type { Machine } from '../../../../src/domain/machine.ts';
import type { StepOutcome } from '../../../../src/domain/ports.ts';
import type { AzureSandboxOptions } from '../../../../src/sandbox/azure/server.ts';
import { createDurableState, type DurableState, type FakeStepContext } from '../../../fakes/step-context.ts';
import { type AzureFixture, FAST, GROUP, startAzureFixture } from '../../../sandbox/azure/fixture.ts';
import { bootDisk } from '../../../sandbox/ec2/boot-sector.ts';
import { contextOf, untilDone, uploadThrough } from '../drive-target.ts';
import { type MachineTraits, machineWith } from '../machines.ts';

export type MachineGround = AsyncDisposable & {
  fixture: AzureFixture;
  azure: Azure;
  /** The same with other options of the target. */
  azureWith(options: Partial<AzureOptions>): Azure;
  /** Uploads all disks of a machine whose boot disk says this. */
  prepare(context: FakeStepContext, machine: Prepared): Promise<ImportWork>;
  /** One call of import. */
  step(work: ImportWork, context: FakeStepContext): Promise<StepOutcome<Landing>>;
  land(work: ImportWork, context: FakeStepContext): Promise<Landing>;
  observe(landing: Landing, context: FakeStepContext): Promise<Observation>;
  /** One call of admit. */
  admit(landing: Landing, context: FakeStepContext, to?: JsonObject): Promise<StepOutcome<Landing>>;
  discardAll(context: FakeStepContext): Promise<void>;
  /** Kinds of what carries the run's tag. */
  kinds(run: string): Promise<string[]>;
  removeAll(run: string): Promise<void>;
  /** Uploads, does what is to be tested, and removes what it left. */
  inRun(
    run: string,
    prepared: Prepared,
    test: (work: ImportWork, attempt: () => FakeStepContext) => Promise<void>,
  ): Promise<void>;
};

export type Prepared = { text?: string; end?: 'rest' | 'power-off'; traits?: MachineTraits; to?: JsonObject };
export type ImportWork = { machine: Machine; to: JsonObject; artifacts: readonly Artifact[] };

const MIB = 2 ** 20;
const TO = { subnet: 'landfall-vnet/servers', group: 'web' };

export async function openMachineGround(options: Partial<AzureSandboxOptions> = {}): Promise<MachineGround> {
  const fixture = await startAzureFixture(options);
  const { sandbox } = fixture;
  const azureWith = (changes: Partial<AzureOptions>): Azure => {
    const made = createAzure(
      azureOptionsSchema.parse({
        subscription: sandbox.subscriptionId,
        resourceGroup: GROUP,
        location: sandbox.location,
        endpoint: sandbox.url,
        diskType: 'Standard_LRS',
        ...changes,
      }),
    );
    made.polling.updateIntervalInMs = FAST.updateIntervalInMs;
    return made;
  };
  const azure = azureWith({});
  const soon = (): AbortSignal => AbortSignal.timeout(30_000);
  const ground: MachineGround = {
    fixture,
    azure,
    azureWith,
    async prepare(context, { text = 'boots\n', end = 'rest', traits = {}, to = {} }) {
      const machine = machineWith({ name: context.machine, ...traits });
      const artifacts: Artifact[] = [];
      for (const { id, boots } of machine.disks) {
        const payload = boots ? bootDisk(text, { end }) : Buffer.alloc(MIB, `disk ${id} `);
        const request = {
          machine,
          disk: id,
          diskBytes: payload.length,
          to: { ...TO, ...to },
          form: { kind: 'blocks' as const, blockBytes: BLOCK_BYTES },
          contentId: hash('sha256', payload),
          maxFileBytes: 0,
        };
        artifacts.push(await uploadThrough(await openPageSink(azure, request, context), payload));
      }
      return { machine, to: { ...TO, ...to }, artifacts };
    },
    step: (work, context) => importMachine(azure, work, context),
    land: (work, context) => untilDone(() => importMachine(azure, work, context)),
    observe: (landing, context) => observeMachine(azure, landing, context),
    admit: (landing, context, to = TO) => admitMachine(azure, { to, landing }, context),
    async discardAll(context) {
      for (const entry of (await context.ledger.entries()).reverse())
        if (entry.state !== 'discarded') await discardEntry(azure, entry, context);
    },
    kinds: async (run) => (await findTagged(azure, run, soon())).map(({ kind }) => kind),
    async removeAll(run) {
      for (const thing of await findTagged(azure, run, soon()))
        await removeTagged(azure, thing, { run, signal: soon() });
    },
    async inRun(run, prepared, test) {
      const state = createDurableState();
      const attempt = (): FakeStepContext => attemptOf(run, state);
      try {
        await test(await ground.prepare(attempt(), prepared), attempt);
      } finally {
        sandbox.faults.clear();
        sandbox.rights.reset();
        await ground.removeAll(run);
      }
    },
    [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose](),
  };
  return ground;
}

export function attemptOf(run: string, state?: DurableState, machine = 'web01'): FakeStepContext {
  return contextOf(run, { machine, ...(state === undefined ? {} : { state }) });
}
