/** YAML as data whose every key and value knows its line and column. */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
} from 'yaml';
import type { JsonValue } from '../domain/json.ts';
import type { Position, WaveProblem } from './wave-problem.ts';

export type YamlText = {
  data: JsonValue;
  /** Of the value at this path, or of the nearest thing around it where there is none. */
  positionOf(path: readonly PropertyKey[]): Position;
  /** Of the key that ends this path. */
  keyPositionOf(path: readonly PropertyKey[]): Position;
};

export type ParsedYaml = { kind: 'good'; yaml: YamlText } | { kind: 'bad'; problems: WaveProblem[] };

/** Each alias may be expanded this often all in all: a few nested ones would else grow to gigabytes. */
const MAX_ALIASES = 100;

export function parseYaml(text: string): ParsedYaml {
  const lines = new LineCounter();
  const at = (offset: number): Position => positionAt(lines, offset);
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
    const complaints = [...document.errors, ...document.warnings];
    if (complaints.length > 0) {
      return {
        kind: 'bad',
        problems: worthTelling(complaints).map((each) => explainYamlError(each, text, at)),
      };
    }
    return { kind: 'good', yaml: locate(document, toData(document), at) };
  } catch (error) {
    return { kind: 'bad', problems: [explainRefusal(error)] };
  }
}

function toData(document: Document.Parsed): JsonValue {
  const data: JsonValue = document.toJS({ maxAliasCount: MAX_ALIASES });
  // Throws on a value that holds itself by an alias: everything behind this point may walk the data.
  JSON.stringify(data);
  return data;
}

function locate(document: Document.Parsed, data: JsonValue, at: (offset: number) => Position): YamlText {
  const follow = (path: readonly PropertyKey[]): Found => findNode(document, path);
  return {
    data,
    positionOf: (path) => {
      const { node, pair } = follow(path);
      return at(startOf(node) ?? startOf(keyOf(pair)) ?? 0);
    },
    keyPositionOf: (path) => {
      const { node, pair, isWhole } = follow(path);
      return at((isWhole ? startOf(keyOf(pair)) : undefined) ?? startOf(node) ?? startOf(keyOf(pair)) ?? 0);
    },
  };
}

type Found = { node: unknown; pair: Pair | null; isWhole: boolean };

/** As far along the path as the file goes. */
function findNode(document: Document.Parsed, path: readonly PropertyKey[]): Found {
  let found: Found = { node: document.contents, pair: null, isWhole: true };
  for (const key of path) {
    const collection = isAlias(found.node) ? found.node.resolve(document) : found.node;
    if (!isCollection(collection)) return { ...found, isWhole: false };
    const items: readonly unknown[] = collection.items;
    if (isMap(collection)) {
      const pair = items.find((item): item is Pair => isPair(item) && keyText(item) === String(key));
      if (pair === undefined) return { ...found, isWhole: false };
      found = { node: pair.value, pair, isWhole: true };
    } else {
      const item = typeof key === 'number' ? items[key] : undefined;
      if (item === undefined) return { ...found, isWhole: false };
      found = { node: item, pair: null, isWhole: true };
    }
  }
  return found;
}

function keyText(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key);
}

function keyOf(pair: Pair | null): unknown {
  return pair?.key;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** After the first break in the syntax, the rest of the file is complained about token by token. */
function worthTelling(complaints: readonly YAMLError[]): readonly YAMLError[] {
  const firstBreak = complaints.findIndex(({ code }) => code !== 'DUPLICATE_KEY');
  return firstBreak === -1 ? complaints : complaints.slice(0, firstBreak + 1);
}

function explainYamlError(error: YAMLError, text: string, at: (offset: number) => Position): WaveProblem {
  const [start] = error.pos;
  const position = at(start);
  switch (error.code) {
    case 'DUPLICATE_KEY': {
      const key = /^[^\s:,}\]]+/.exec(text.slice(start, start + 80))?.[0] ?? '';
      const what = `the key \`${key}\` is given twice`;
      return { ...position, where: null, what, remedy: 'Remove one of them.' };
    }
    case 'TAB_AS_INDENT':
      return {
        ...position,
        where: null,
        what: 'a tab is used for indentation',
        remedy: 'YAML wants spaces.',
      };
    case 'MULTIPLE_DOCS':
      return {
        ...position,
        where: null,
        what: 'the file holds a second YAML document',
        remedy: 'A wave file describes one wave: remove the line `---` and what follows.',
      };
    default:
      return {
        ...position,
        where: null,
        what: `this is not YAML: ${error.message}`,
        remedy: adviseOnSyntax(text.split('\n')[position.line - 1] ?? ''),
      };
  }
}

function adviseOnSyntax(line: string): string | null {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of references
  const advice = 'A text that holds ${env:…} needs quotes inside of { } and [ ].';
  return line.includes('${') ? advice : null;
}

function explainRefusal(error: unknown): WaveProblem {
  const start = { line: 1, column: 1, where: null };
  if (error instanceof ReferenceError) {
    return { ...start, what: 'aliases (`*name`) are used too often', remedy: 'Write the values out.' };
  }
  if (error instanceof TypeError) {
    return {
      ...start,
      what: 'an alias (`*name`) stands inside its own anchor',
      remedy: 'Write the value out.',
    };
  }
  if (error instanceof RangeError) {
    return { ...start, what: 'values are nested too deeply', remedy: 'No wave needs more than ten levels.' };
  }
  throw error;
}
