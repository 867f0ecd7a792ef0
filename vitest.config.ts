import { defineConfig } from 'vitest/config';
import createCountReporter from './test/reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: real Redis, real qemu and real guests run beside the tests.
    maxWorkers: 2,
    reporters: [createCountReporter(), 'default'],
  },
});
