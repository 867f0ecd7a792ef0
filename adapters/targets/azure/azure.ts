/**
 * The Azure target: disks go page by page into managed disks, become a virtual machine under quarantine, and are admitted
 * once proven. What is durable is in the ledger and at Azure; a target object holds clients and options only.
 */
import type { z } from 'zod';
import type { TargetAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Target } from '../../../src/domain/ports.ts';
import { admitMachine } from './admit.ts';
import { AZURE_CAPABILITIES, uploadForm } from './capabilities.ts';
import { createAzure } from './clients.ts';
import { discardEntry } from './discard.ts';
import { importMachine } from './import.ts';
import { findTagged, removeTagged } from './leftovers.ts';
import { observeMachine } from './observe.ts';
import { azureMachineOptionsSchema, azureOptionsSchema } from './options.ts';
import { openLandedDisk } from './page-read.ts';
import { openPageSink } from './page-sink.ts';
import { preflight } from './preflight.ts';

export const azureTarget: TargetAdapter = {
  kind: 'azure',
  // Absent keys are left out of what these schemas give, never undefined: it is plain data.
  options: azureOptionsSchema as unknown as z.ZodType<JsonObject>,
  machineOptions: azureMachineOptionsSchema as unknown as z.ZodType<JsonObject>,
  create: createAzureTarget,
};

function createAzureTarget(options: JsonObject): Target {
  const azure = createAzure(azureOptionsSchema.parse(options));
  return {
    capabilities: AZURE_CAPABILITIES,
    uploadForm,
    preflight: (machines, signal) => preflight(azure, machines, signal),
    openUpload: (request, context) => openPageSink(azure, request, context),
    import: (request, context) => importMachine(azure, request, context),
    observe: (landing, context) => observeMachine(azure, landing, context),
    admit: (request, context) => admitMachine(azure, request, context),
    openLanded: (request, signal) => openLandedDisk(azure, request, signal),
    discard: (entry, context) => discardEntry(azure, entry, context),
    findTagged: (run, signal) => findTagged(azure, run, signal),
    removeTagged: (thing, run, signal) => removeTagged(azure, thing, { run, signal }),
  };
}
