/** A page of a few words, without script and style, for what cannot be told by the dashboard's own page. */

export type PlainPage = {
  title: string;
  text: string;
  /** Where it leads at once; null: it stays. */
  next: string | null;
};

export function plainPage({ title, text, next }: PlainPage): string {
  const refresh = next === null ? '' : `<meta http-equiv="refresh" content="0;url=${escaped(next)}">`;
  const link = next === null ? '' : `<p><a href="${escaped(next)}">Go on</a></p>`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)} · Landfall</title>${refresh}</head>
<body><h1>${escaped(title)}</h1><p>${escaped(text)}</p>${link}</body>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
