/** An evidence store in memory. */
import type { Evidence } from '../../src/domain/ports.ts';

export type FakeEvidence = Evidence & {
  files: Map<string, Buffer>;
  /** Times each path was put. */
  puts: Map<string, number>;
  /** While set, nothing can be written. */
  failure: Error | null;
  text(path: string): string | null;
};

export function createFakeEvidence(): FakeEvidence {
  const evidence: FakeEvidence = {
    files: new Map(),
    puts: new Map(),
    failure: null,
    put: async (path, bytes) => {
      if (evidence.failure !== null) throw evidence.failure;
      evidence.files.set(path, Buffer.from(bytes));
      evidence.puts.set(path, (evidence.puts.get(path) ?? 0) + 1);
    },
    get: async (path) => evidence.files.get(path) ?? null,
    list: async (prefix) => [...evidence.files.keys()].filter((path) => path.startsWith(prefix)).sort(),
    locate: (path) => `/evidence/${path}`,
    text: (path) => evidence.files.get(path)?.toString() ?? null,
  };
  return evidence;
}
