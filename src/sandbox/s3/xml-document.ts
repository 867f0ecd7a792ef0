/** Reads the XML documents that clients send: hostile until a strict schema has passed them. */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { z } from 'zod';
import { malformedXml } from './refusals.ts';

/** `lists` names the elements that are lists even when there is but one. Throws MalformedXML. */
export function readXml<T extends z.ZodType>({
  text,
  root,
  lists,
  schema,
}: {
  text: string;
  root: string;
  lists: readonly string[];
  schema: T;
}): z.output<T> {
  // A document type could declare entities that expand without end.
  if (text.includes('<!DOCTYPE') || XMLValidator.validate(text) !== true) throw malformedXml();
  const result = schema.safeParse(parse(text, lists)[root]);
  if (!result.success) throw malformedXml();
  return result.data;
}

function parse(text: string, lists: readonly string[]): Record<string, unknown> {
  const parser = new XMLParser({
    ignoreAttributes: true,
    ignoreDeclaration: true,
    parseTagValue: false,
    trimValues: false,
    processEntities: true,
    // With them come references by number: Go's SDK (rclone) writes the quotes of an ETag as &#34;.
    htmlEntities: true,
    removeNSPrefix: true,
    isArray: (name) => lists.includes(name),
  });
  try {
    return dropBlankText(parser.parse(text)) as Record<string, unknown>;
  } catch {
    throw malformedXml();
  }
}

/** Indentation between elements arrives as a member `#text`. */
function dropBlankText(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropBlankText);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(
    ([name, member]) => name !== '#text' || String(member).trim() !== '',
  );
  return Object.fromEntries(members.map(([name, member]) => [name, dropBlankText(member)]));
}
