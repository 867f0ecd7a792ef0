/** MAC addresses as hypervisors write them. */

/** `08:00:27:a1:b2:c3`; null where the text is none. */
export function normalizeMac(text: string): string | null {
  const digits = text.toLowerCase().replace(/[:.-]/g, '');
  return /^[0-9a-f]{12}$/.test(digits) ? (digits.match(/../g)?.join(':') ?? null) : null;
}
