/** Markdown as far as tests of the docs ask: sections, table rows, fenced blocks, links. */

export type Page = { path: string; text: string };

/** The text under a heading, up to the next one of the same depth or above. Throws where there is no such heading. */
export function sectionOf({ path, text }: Page, heading: string): string {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => depthOf(line) > 0 && titleOf(line).startsWith(heading));
  if (start < 0) throw new Error(`${path} has no heading ${heading}`);
  const depth = depthOf(lines[start] ?? '');
  const length = lines.slice(start + 1).findIndex((line) => depthOf(line) > 0 && depthOf(line) <= depth);
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n');
}

/** Body rows of all tables in a text, as cells. */
export function tableRows(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  return lines
    .filter((line, index) => !isRule(line) && !isRule(lines[index + 1] ?? ''))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** What stands in fenced blocks of a language. */
export function fencedBlocks({ text }: Page, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , body = '']) => body);
}

/** Targets of links, without those to other sites. */
export function localLinks({ text }: Page): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^https?:/.test(target));
}

/** The anchors of all headings, as GitHub makes them. */
export function anchorsOf({ text }: Page): string[] {
  return text
    .split('\n')
    .filter((line) => depthOf(line) > 0)
    .map((line) =>
      titleOf(line)
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );
}

function depthOf(line: string): number {
  return /^(#+) /.exec(line)?.[1]?.length ?? 0;
}

function titleOf(line: string): string {
  return line.replace(/^#+ /, '');
}

function isRule(line: string): boolean {
  return /^\|[-| :]+\|$/.test(line);
}
