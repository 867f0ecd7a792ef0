/** How the AWS target presents itself; `target.ts` holds all that needs AWS's SDK. */
import type { z } from 'zod';
import type { TargetAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import { createLazyTarget } from '../../../src/domain/lazy-target.ts';
import type { Target } from '../../../src/domain/ports.ts';
import { AWS_CAPABILITIES, uploadForm } from './capabilities.ts';
import { monthlyPrice } from './list-prices.ts';
import { awsMachineOptionsSchema, awsOptionsSchema } from './options.ts';

export const awsTarget: TargetAdapter = {
  kind: 'aws',
  // Absent keys are left out of what these schemas give, never undefined: it is plain data.
  options: awsOptionsSchema as unknown as z.ZodType<JsonObject>,
  machineOptions: awsMachineOptionsSchema as unknown as z.ZodType<JsonObject>,
  create: (options): Target => {
    const parsed = awsOptionsSchema.parse(options);
    return createLazyTarget({
      capabilities: AWS_CAPABILITIES,
      uploadForm: (disk) => uploadForm(parsed, disk),
      monthlyPrice: (made) => monthlyPrice(parsed.region, made),
      load: async () => (await import('./target.ts')).createAwsTarget(options),
    });
  },
};
