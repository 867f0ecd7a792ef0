/**
 * The Azure target: disks go page by page into managed disks, become a virtual machine under quarantine, and are admitted
 * once proven. What is durable is in the ledger and at Azure; a target object holds clients and options only.
 */
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Target } from '../../../src/domain/ports.ts';
import { admitMachine } from './admit.ts';
import { AZURE_CAPABILITIES, uploadForm } from './capabilities.ts';
import { createAzure } from './clients.ts';
import { discardEntry } from './discard.ts';
import { importMachine } from './import.ts';
import { findTagged, removeTagged } from './leftovers.ts';
import { observeMachine } from './observe.ts';
import { azureOptionsSchema } from './options.ts';
import { openLandedDisk } from './page-read.ts';
import { openPageSink } from './page-sink.ts';
import { preflight } from './preflight.ts';

export function createAzureTarget(options: JsonObject): Target {
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
