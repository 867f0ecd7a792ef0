/** Workers keep the environment that they were started with; what this shell checks may not be what they use. */
import type { Config } from '../config.ts';
import { listEnvReferences } from '../domain/env-reference.ts';
import type { Wave } from '../domain/wave.ts';
import { listDifferences } from '../environment-digest.ts';
import { readUpNote } from '../home.ts';

/** null: this home's `up` has the same variables of the clouds, and the same that the wave names; or none lives. Tells names, never values. */
export async function findOtherEnvironment(
  { home, redisUrl }: Config,
  wave: Wave | null,
): Promise<{ message: string; remedy: string } | null> {
  const note = await readUpNote(home);
  if (note === null || (redisUrl !== null && note.redisUrl !== redisUrl)) return null;
  const different = listDifferences(note.environment, process.env, wave === null ? [] : namedBy(wave));
  if (different.length === 0) return null;
  return {
    message: `The \`landfall up\` of ${home} was started with other values of ${different.join(', ')} than this shell has, and its workers use those`,
    remedy: 'To use the new ones: `landfall down`, then this command again.',
  };
}

function namedBy({ source, target, machines, notify }: Wave): string[] {
  return listEnvReferences([
    source.options,
    target.options,
    ...machines.flatMap(({ from, to, hooks }) => [from, to, JSON.stringify(hooks)]),
    JSON.stringify(notify),
  ]);
}
