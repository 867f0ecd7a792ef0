/** Sources that stay off, and how they come back: nobody may learn of it from their users. */

export function describeOff(run: string, off: readonly string[]): string[] {
  const [first] = off;
  if (first === undefined) return [];
  const names = off.join(', ');
  const each = off.length === 1 ? first : 'MACHINE';
  return [
    `${off.length === 1 ? 'Its source' : 'Their sources'} may be off, and nothing runs in place of ${names}: \`landfall rollback ${run} ${each}\` turns ${off.length === 1 ? 'it' : 'them'} on again.`,
  ];
}
