/**
 * Somebody else's words as one line: they go to terminals and into the audit trail, where line breaks, escape sequences
 * and marks that turn the direction of writing would make them look like something else.
 */
export function oneLine(text: string, maxChars: number): string {
  return text
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, maxChars);
}
