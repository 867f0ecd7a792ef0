/**
 * Says what was skipped and why, before vitest's own summary where it is the first reporter, and ends a test run with the
 * line `N passed, N failed`, whatever happened. Fails a run that tested nothing.
 */
import type { SerializedError } from 'vitest';
import type { Reporter, TestModule } from 'vitest/node';

export type TestCount = { passed: number; failed: number };

export default function createCountReporter(): Reporter {
  // A run that ends before its first test was collected must not look like a good one.
  let count: TestCount = { passed: 0, failed: 0 };
  let isFiltered = false;
  return {
    onInit(vitest) {
      isFiltered = vitest.config.testNamePattern !== undefined;
      if (vitest.config.watch) return;
      // At exit, because vitest's own reporters and its closing still print after onTestRunEnd. A write to a file,
      // pipe or terminal is synchronous there.
      process.once('exit', () => {
        if (count.passed === 0) process.exitCode ||= 1;
        process.stdout.write(`${formatCount(count)}\n`);
      });
    },
    onTestRunEnd(modules, errors) {
      count = countTests(modules, errors);
      // Of a filtered run, what was skipped is what nobody asked for.
      if (isFiltered) return;
      for (const line of modules.flatMap(listSkipped)) process.stdout.write(`${line}\n`);
    },
  };
}

/** Counts each failed test, each file that failed outside of its tests, and each error that no test caught. */
export function countTests(
  modules: readonly TestModule[],
  unhandledErrors: readonly SerializedError[],
): TestCount {
  let passed = 0;
  let failed = unhandledErrors.length;
  for (const module of modules) {
    let failedHere = 0;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed += 1;
      if (state === 'failed') failedHere += 1;
    }
    // Its import, its hooks or a describe block threw.
    const isBroken = module.state() === 'failed' && failedHere === 0;
    failed += isBroken ? 1 : failedHere;
  }
  return { passed, failed };
}

/** `skipped: FILE > NAME: WHY`. */
function listSkipped(module: TestModule): string[] {
  return [...module.children.allTests('skipped')].map((test) => {
    const result = test.result();
    const why = (result.state === 'skipped' && result.note) || 'no reason given';
    return `skipped: ${module.relativeModuleId} > ${test.fullName}: ${why}`;
  });
}

export function formatCount({ passed, failed }: TestCount): string {
  return `${passed} passed, ${failed} failed`;
}
