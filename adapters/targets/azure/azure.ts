/**
 * How the Azure target presents itself. Azure's SDK takes 0.4 s and 80 MiB to load, which nobody pays who lands elsewhere
 * or only reads a wave: `target.ts`, which holds all that needs it, is loaded when something is first asked of Azure.
 */
import type { z } from 'zod';
import type { TargetAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Target } from '../../../src/domain/ports.ts';
import { AZURE_CAPABILITIES, uploadForm } from './capabilities.ts';
import { azureMachineOptionsSchema, azureOptionsSchema } from './options.ts';

export const azureTarget: TargetAdapter = {
  kind: 'azure',
  // Absent keys are left out of what these schemas give, never undefined: it is plain data.
  options: azureOptionsSchema as unknown as z.ZodType<JsonObject>,
  machineOptions: azureMachineOptionsSchema as unknown as z.ZodType<JsonObject>,
  create: createLazyTarget,
};

function createLazyTarget(options: JsonObject): Target {
  let loading: Promise<Target> | null = null;
  const loaded = (): Promise<Target> => {
    loading ??= import('./target.ts').then(({ createAzureTarget }) => createAzureTarget(options));
    return loading;
  };
  return {
    capabilities: AZURE_CAPABILITIES,
    uploadForm,
    preflight: async (...asked) => (await loaded()).preflight(...asked),
    openUpload: async (...asked) => (await loaded()).openUpload(...asked),
    import: async (...asked) => (await loaded()).import(...asked),
    observe: async (...asked) => (await loaded()).observe(...asked),
    admit: async (...asked) => (await loaded()).admit(...asked),
    openLanded: async (...asked) => (await loaded()).openLanded(...asked),
    discard: async (...asked) => (await loaded()).discard(...asked),
    findTagged: async (...asked) => (await loaded()).findTagged(...asked),
    removeTagged: async (...asked) => (await loaded()).removeTagged(...asked),
  };
}
