/** How the Azure target presents itself; `target.ts` holds all that needs Azure's SDK. */
import type { z } from 'zod';
import type { TargetAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import { createLazyTarget } from '../../../src/domain/lazy-target.ts';
import { AZURE_CAPABILITIES, uploadForm } from './capabilities.ts';
import { monthlyPrice } from './list-prices.ts';
import { azureMachineOptionsSchema, azureOptionsSchema } from './options.ts';

export const azureTarget: TargetAdapter = {
  kind: 'azure',
  // Absent keys are left out of what these schemas give, never undefined: it is plain data.
  options: azureOptionsSchema as unknown as z.ZodType<JsonObject>,
  machineOptions: azureMachineOptionsSchema as unknown as z.ZodType<JsonObject>,
  create: (options) =>
    createLazyTarget({
      capabilities: AZURE_CAPABILITIES,
      uploadForm,
      monthlyPrice: (made) => monthlyPrice(azureOptionsSchema.parse(options), made),
      load: async () => (await import('./target.ts')).createAzureTarget(options),
    }),
};
