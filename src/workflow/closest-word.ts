/** "Did you mean": the known word that a mistyped one most likely stands for. */
import { distance } from 'fastest-levenshtein';

/** null where nothing is near: a wrong hint is worse than none. */
export function closestWord(word: string, known: readonly string[]): string | null {
  const plain = simplify(word);
  let best: { word: string; away: number } | null = null;
  for (const candidate of known) {
    const away = distance(plain, simplify(candidate));
    if (best === null || away < best.away) best = { word: candidate, away };
  }
  const isNear = best !== null && best.away <= Math.max(1, Math.floor(word.length / 3));
  return isNear ? (best?.word ?? null) : null;
}

/** `security-groups`, `security_groups` and `securityGroups` are one mistake. */
function simplify(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, '');
}
