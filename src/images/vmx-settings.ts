/** The lines of a `.vmx`: `key = "value"`, keys without regard to case, `|22` for a quote, an encoding named inside. */
import { COPY_AGAIN, corruptImage } from './refusal.ts';

export type VmxSettings = {
  value(key: string): string | null;
  isTrue(key: string): boolean;
  /** From 1; 0 where the key is not there. */
  line(key: string): number;
  /** In lower case. */
  keys(): string[];
};

/** Real ones have 2 to 10 KiB. */
export const MAX_VMX_BYTES = 1024 * 1024;

const LINE = /^([^\s=]+)\s*=\s*"?(.*?)"?$/;

/** Throws `image-corrupt` with the line. */
export function parseVmxLines(bytes: Buffer, label: string): VmxSettings {
  const entries = new Map<string, { value: string; line: number }>();
  for (const [index, text] of decode(bytes)
    .split(/\r\n|\n|\r/)
    .entries()) {
    const trimmed = text.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const [, key = '', value = ''] = LINE.exec(trimmed) ?? [];
    if (key === '') {
      throw corruptImage({
        label,
        found: `line ${index + 1} is no setting: ${JSON.stringify(trimmed.slice(0, 80))}`,
        remedy: COPY_AGAIN,
        context: { line: index + 1 },
      });
    }
    entries.set(key.toLowerCase(), { value: decodeEscapes(value), line: index + 1 });
  }
  const entry = (key: string) => entries.get(key.toLowerCase());
  return {
    value: (key) => entry(key)?.value ?? null,
    isTrue: (key) => entry(key)?.value.toLowerCase() === 'true',
    line: (key) => entry(key)?.line ?? 0,
    keys: () => [...entries.keys()],
  };
}

/** The name of the encoding is plain ASCII in all of those that VMware uses. */
function decode(bytes: Buffer): string {
  const [, encoding = 'utf-8'] = /^\s*\.encoding\s*=\s*"([^"]*)"/im.exec(bytes.toString('latin1')) ?? [];
  try {
    return new TextDecoder(encoding).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

function decodeEscapes(value: string): string {
  return value.replace(/\|([0-9a-fA-F]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}
