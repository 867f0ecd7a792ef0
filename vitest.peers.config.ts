/** `npm run test:peers`: the contract suites against servers that others wrote. `npm test` runs none of it. */
import { defineConfig } from 'vitest/config';
import createCountReporter from './test/reporter.ts';

export default defineConfig({
  test: {
    include: ['test/peers/*.peer.ts'],
    testTimeout: 60_000,
    // A peer that is not in the cache is fetched and built first: minutes on two cores.
    hookTimeout: 15 * 60_000,
    maxWorkers: 2,
    // What is done for a peer is told while it is done.
    disableConsoleIntercept: true,
    reporters: [createCountReporter(), 'verbose'],
  },
});
