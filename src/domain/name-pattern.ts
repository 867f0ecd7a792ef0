/** Names with `*` and `?`, as operators write them. */

/**
 * Does the name fit, where `*` stands for any text and `?` for any one letter? Goes back to the last `*` only, so that no
 * pattern takes longer than both lengths multiplied; regular expressions took minutes for fifty stars.
 */
export function matchesName(name: string, pattern: string): boolean {
  let at = 0;
  let inPattern = 0;
  let star = -1;
  let starAt = 0;
  while (at < name.length) {
    if (pattern[inPattern] === '*') {
      star = inPattern;
      starAt = at;
      inPattern += 1;
    } else if (pattern[inPattern] === '?' || pattern[inPattern] === name[at]) {
      at += 1;
      inPattern += 1;
    } else if (star >= 0) {
      starAt += 1;
      at = starAt;
      inPattern = star + 1;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(inPattern));
}
