/** Lines of pre-flight, as every target writes them. */
import { LandfallError } from './errors.ts';
import type { Finding } from './ports.ts';

export function passed(subject: string, message: string): Finding {
  return { level: 'ok', subject, message, remedy: null };
}

export function warned(subject: string, message: string, remedy: string): Finding {
  return { level: 'warn', subject, message, remedy };
}

export function failed(subject: string, message: string, remedy: string): Finding {
  return { level: 'fail', subject, message, remedy };
}

/** Looks, and turns a failure to look into a finding; only a cancellation passes through. */
export async function look(
  { subject, signal }: { subject: string; signal: AbortSignal },
  check: () => Promise<Finding[]>,
): Promise<Finding[]> {
  try {
    return await check();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof LandfallError)) throw error;
    return [findingOf(subject, error)];
  }
}

/** The same for rights that only pre-flight needs: where they are denied, it says so and does not stand in the way. */
export async function lookIfAllowed(
  { subject, signal }: { subject: string; signal: AbortSignal },
  check: () => Promise<Finding[]>,
): Promise<Finding[]> {
  const findings = await look({ subject, signal }, async () => {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof LandfallError) || error.code !== 'target-denied') throw error;
      return [{ ...findingOf(subject, error), level: 'warn' as const }];
    }
  });
  return findings;
}

/** A failure as a finding, its remedy apart from its message. */
export function findingOf(subject: string, error: LandfallError): Finding {
  const remedy = String(error.context.remedy ?? '');
  const message = remedy === '' ? error.message : error.message.replace(remedy, '').trim();
  const told = remedy === '' ? 'Correct this, then run `landfall plan` again.' : remedy;
  return { ...failed(subject, message, told), code: error.code };
}
