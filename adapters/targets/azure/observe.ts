/** What can be seen of a virtual machine: its state, what Azure and its agent say of it, its console, its screen. */
import type { InstanceViewStatus, VirtualMachineInstanceView } from '@azure/arm-compute';
import type { Landing, LandingCheck, Observation } from '../../../src/domain/landing.ts';
import type { StepContext } from '../../../src/domain/ports.ts';
import { bmpToPng } from '../../../src/images/png.ts';
import { findDiagnostics, readBlobTail } from './boot-diagnostics.ts';
import type { Azure } from './clients.ts';
import { type AzureCall, askIfFound } from './errors.ts';
import { landingRef } from './landing.ts';
import { findMachine, machineCall } from './machine-lookup.ts';

const GONE: Observation = { state: 'gone', checks: [], console: '', screenshot: null };
/** Azure keeps 1 MiB of a console. */
const MAX_CONSOLE_BYTES = 2 ** 20;
/** 1920 × 1080 at 32 bits are 8 MiB. */
const MAX_SCREEN_BYTES = 16 * 2 ** 20;

export async function observeMachine(
  azure: Azure,
  landing: Landing,
  context: StepContext,
): Promise<Observation> {
  const { virtualMachine: name, vmId } = landingRef(landing);
  const { signal } = context;
  const machine = await findMachine(azure, name, signal);
  // Another one of the same name is not what landed.
  if (machine === null || machine.vmId !== vmId) return GONE;
  const view = await readInstanceView(azure, name, signal);
  if (view === null) return GONE;
  const state = stateOf(view);
  const { consoleAddress, screenAddress } = await findDiagnostics(azure, name, signal);
  const [console, screenshot] = await Promise.all([
    consoleAddress === null ? '' : readConsole(azure, { name, address: consoleAddress, signal }),
    screenAddress === null || state !== 'running'
      ? null
      : readScreen(azure, { name, address: screenAddress, context }),
  ]);
  return { state, checks: checksOf(view), console, screenshot };
}

async function readInstanceView(
  azure: Azure,
  name: string,
  signal: AbortSignal,
): Promise<VirtualMachineInstanceView | null> {
  const action = 'instanceView/read';
  const call = machineCall(azure, { doing: 'Looking at a virtual machine', action, name });
  return askIfFound(call, () =>
    azure.compute.virtualMachines.instanceView(azure.options.resourceGroup, name, { abortSignal: signal }),
  );
}

export function stateOf({ statuses = [] }: VirtualMachineInstanceView): Observation['state'] {
  const power = statuses.find(({ code = '' }) => code.startsWith('PowerState/'))?.code;
  switch (power) {
    case 'PowerState/running':
      return 'running';
    case 'PowerState/stopping':
    case 'PowerState/stopped':
    case 'PowerState/deallocating':
    case 'PowerState/deallocated':
      return 'stopped';
    default:
      // Azure tells no power state while it looks for a host.
      return 'starting';
  }
}

/** The agent counts where it reports: a guest need not have one. */
export function checksOf({ statuses = [], vmAgent, disks = [] }: VirtualMachineInstanceView): LandingCheck[] {
  const provisioning = statuses.find(({ code = '' }) => code.startsWith('ProvisioningState/'));
  const checks = [checkOf('provisioning', provisioning)];
  for (const { name = '', statuses: [status] = [] } of disks)
    if (isFailed(status)) checks.push(checkOf(`disk ${name}`, status));
  const agent = vmAgent?.statuses?.find(({ displayStatus }) => displayStatus === 'Ready');
  if (agent !== undefined) {
    const detail = `${vmAgent?.vmAgentVersion ?? ''} ${agent.message ?? 'Ready'}`.trim();
    checks.push({ name: 'VM agent', state: 'ok', detail });
  }
  return checks;
}

function checkOf(name: string, status: InstanceViewStatus | undefined): LandingCheck {
  const detail = status?.message ?? status?.displayStatus ?? status?.code ?? 'not told yet';
  if (isFailed(status)) return { name, state: 'failed', detail };
  return { name, state: /\/succeeded$/i.test(status?.code ?? '') ? 'ok' : 'pending', detail };
}

function isFailed(status: InstanceViewStatus | undefined): boolean {
  return /\/failed(\/|$)/i.test(status?.code ?? '');
}

type Reading = { name: string; address: string };

async function readConsole(
  azure: Azure,
  { name, address, signal }: Reading & { signal: AbortSignal },
): Promise<string> {
  const call = blobCall(azure, 'Reading the console', name);
  const bytes = await readBlobTail(address, { call, maxBytes: MAX_CONSOLE_BYTES, signal });
  return bytes?.toString('utf8') ?? '';
}

/** A missing screenshot is no reason to doubt a landing: what cannot be had is logged and left out. */
async function readScreen(
  azure: Azure,
  { name, address, context }: Reading & { context: StepContext },
): Promise<Uint8Array | null> {
  const { signal } = context;
  try {
    const call = blobCall(azure, 'Taking a screenshot', name);
    const bmp = await readBlobTail(address, { call, maxBytes: MAX_SCREEN_BYTES, signal });
    return bmp === null ? null : await bmpToPng(bmp, signal);
  } catch (error) {
    signal.throwIfAborted();
    context.log('warn', error instanceof Error ? error.message : String(error));
    return null;
  }
}

function blobCall({ options }: Azure, doing: string, name: string): AzureCall {
  return {
    doing,
    action: 'Get Blob',
    resource: `boot diagnostics of ${name} in ${options.resourceGroup}`,
  };
}
