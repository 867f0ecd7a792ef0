/**
 * An OVF descriptor as a tree of elements whose namespace prefixes are dropped: writers choose them freely. The text
 * comes from strangers, so entities and document types are refused before a parser sees them.
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { LandfallError } from '../domain/errors.ts';
import { COPY_AGAIN, corruptImage, hostileImage } from './refusal.ts';

export type XmlElement = {
  /** Where it begins, from 1. */
  line: number;
  text: string;
  attribute(name: string): string | null;
  child(name: string): XmlElement | null;
  /** In the order of the document. */
  children(name: string): XmlElement[];
};

/** Real descriptors have 10 to 200 KiB. */
export const MAX_DESCRIPTOR_BYTES = 4 * 1024 * 1024;

const ATTRIBUTE = '@';
const TEXT = '#text';
// The package's types say `Symbol`, the object type, where it gives a symbol.
const METADATA = XMLParser.getMetaDataSymbol() as unknown as symbol;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: ATTRIBUTE,
  textNodeName: TEXT,
  removeNSPrefix: true,
  parseTagValue: false,
  parseAttributeValue: false,
  alwaysCreateTextNode: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  // Numeric character references are decoded only with this.
  htmlEntities: true,
  captureMetaData: true,
  isArray: (_name, _path, _isLeaf, isAttribute) => !isAttribute,
});

/** The root element. Throws `image-hostile` or `image-corrupt` with the line. */
export function parseXml({ bytes, label, root }: { bytes: Buffer; label: string; root: string }): XmlElement {
  const text = decodeText(bytes, label);
  refuseDeclarations(text, label);
  const checked = XMLValidator.validate(text);
  if (checked !== true) throw malformed({ label, line: checked.err.line, found: checked.err.msg });
  const lineStarts = startsOfLines(text);
  const parsed = parseText(text, label);
  const [found] = toElement(parsed, lineStarts).children(root);
  if (found === undefined) throw malformed({ label, line: 1, found: `its root is no ${root}` });
  return found;
}

function parseText(text: string, label: string): unknown {
  try {
    return parser.parse(text);
  } catch (error) {
    // What the validator lets pass and the parser does not are its own safety limits.
    throw hostileImage({
      label,
      found: `its XML is not taken: ${error instanceof Error ? error.message : String(error)}`,
      remedy: 'Export the appliance again from its source.',
      cause: error,
    });
  }
}

function decodeText(bytes: Buffer, label: string): string {
  const isBigEndian = bytes[0] === 0xfe && bytes[1] === 0xff;
  const isLittleEndian = bytes[0] === 0xff && bytes[1] === 0xfe;
  const encoding = isBigEndian ? 'utf-16be' : isLittleEndian ? 'utf-16le' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw corruptImage({
      label,
      found: `it is no ${encoding.toUpperCase()} text`,
      remedy: COPY_AGAIN,
      cause,
    });
  }
}

/** Entities can name files of this host and can grow without bounds; no OVF needs them. */
function refuseDeclarations(text: string, label: string): void {
  const at = text.search(/<!\s*(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)/i);
  if (at === -1) return;
  const line = text.slice(0, at).split('\n').length;
  throw hostileImage({
    label,
    found: `line ${line} declares a document type or an entity, through which XML can read other files`,
    remedy: 'No OVF needs one: find out who made this appliance, or remove the declaration.',
    context: { line },
  });
}

function toElement(node: unknown, lineStarts: readonly number[]): XmlElement {
  const value: Record<string | symbol, unknown> = isObject(node) ? node : { [TEXT]: node };
  const children = (name: string): XmlElement[] => {
    const found = Object.hasOwn(value, name) ? value[name] : [];
    return Array.isArray(found) ? found.map((child: unknown) => toElement(child, lineStarts)) : [];
  };
  return {
    line: lineAt(startIndexOf(value), lineStarts),
    text: asText(value[TEXT]),
    attribute: (name) => {
      const key = ATTRIBUTE + name;
      return Object.hasOwn(value, key) ? asText(value[key]) : null;
    },
    child: (name) => children(name)[0] ?? null,
    children,
  };
}

function startIndexOf(value: Record<string | symbol, unknown>): number {
  const metadata = value[METADATA];
  return isObject(metadata) && typeof metadata.startIndex === 'number' ? metadata.startIndex : 0;
}

function startsOfLines(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** The last line that starts at or before `index`. */
function lineAt(index: number, lineStarts: readonly number[]): number {
  let low = 0;
  let high = lineStarts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((lineStarts[middle] ?? 0) <= index) low = middle;
    else high = middle;
  }
  return low + 1;
}

function malformed({ label, line, found }: { label: string; line: number; found: string }): LandfallError {
  return corruptImage({
    label,
    found: `it is no well-formed OVF, line ${line}: ${found}`,
    remedy: COPY_AGAIN,
    context: { line },
  });
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value.trim() : '';
}

function isObject(value: unknown): value is Record<string | symbol, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
