/** A sentence of Landfall's: what stands in backquotes is typed as it stands. */
export function Sentence({ text }: { text: string }) {
  return text.split('`').map((part, index) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: parts have no identity but their place.
    index % 2 === 0 ? part : <code key={index}>{part}</code>,
  );
}
