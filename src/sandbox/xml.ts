/** Writes plain objects as XML, in the three ways in which AWS writes lists. */

export type XmlValue =
  | string
  | number
  | boolean
  | Date
  | null
  | undefined
  | readonly XmlValue[]
  | { readonly [name: string]: XmlValue };
export type XmlObject = { readonly [name: string]: XmlValue };

/**
 * item:   EC2, `<fooSet><item>…</item></fooSet>`
 * member: STS and IAM, `<Foo><member>…</member></Foo>`
 * flat:   S3, `<Foo>…</Foo><Foo>…</Foo>`
 */
export type XmlListStyle = 'item' | 'member' | 'flat';

export type XmlDocument = { root: string; namespace?: string; body: XmlObject; lists: XmlListStyle };

/** A member of this name is the text of its element. */
export const TEXT = '#text';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** Members that are null or undefined are left out; an empty list is an empty element (or, flat, nothing). */
export function writeXml({ root, namespace, body, lists }: XmlDocument): string {
  const attribute = namespace === undefined ? '' : ` xmlns="${namespace}"`;
  return `${DECLARATION}<${root}${attribute}>${writeMembers(body, lists)}</${root}>`;
}

function writeMembers(body: XmlObject, lists: XmlListStyle): string {
  return Object.entries(body)
    .map(([name, value]) => writeElement({ name, value, lists }))
    .join('');
}

function writeElement({
  name,
  value,
  lists,
}: {
  name: string;
  value: XmlValue;
  lists: XmlListStyle;
}): string {
  if (value === null || value === undefined) return '';
  if (name === TEXT) return escapeXml(String(value));
  if (isList(value)) {
    const element = lists === 'flat' ? name : lists;
    const items = value.map((item) => writeElement({ name: element, value: item, lists })).join('');
    return lists === 'flat' ? items : `<${name}>${items}</${name}>`;
  }
  if (value instanceof Date) return `<${name}>${value.toISOString()}</${name}>`;
  if (typeof value === 'object') return `<${name}>${writeMembers(value as XmlObject, lists)}</${name}>`;
  return `<${name}>${escapeXml(String(value))}</${name}>`;
}

function isList(value: XmlValue): value is readonly XmlValue[] {
  return Array.isArray(value);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#13;',
};

/** XML 1.0 has no way to write most control characters, nor lone surrogates: they become U+FFFD. */
function escapeXml(text: string): string {
  return (
    text
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters XML forbids.
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[&<>"'\r]/g, (character) => ENTITIES[character] ?? character)
  );
}
