/**
 * A target that loads what it is made of when something is first asked of it. A cloud's SDK takes half a second and some
 * 80 MiB to load, which nobody pays who lands elsewhere or only reads a wave.
 */
import type { Target } from './ports.ts';

/** What is known without asking the target. */
type Known = Pick<Target, 'capabilities' | 'uploadForm' | 'monthlyPrice'>;

export function createLazyTarget({ load, ...known }: Known & { load(): Promise<Target> }): Target {
  let loading: Promise<Target> | null = null;
  const loaded = (): Promise<Target> => {
    // What failed once, for want of memory or of a file being replaced, may be loaded later.
    loading ??= load().catch((error: unknown) => {
      loading = null;
      throw error;
    });
    return loading;
  };
  return {
    ...known,
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
