/** Would it be refused? What an operation checks before it does anything says so in its own words. */
import { asLandfallError } from '../../domain/errors.ts';

/** null: it would not. */
export function refusalOf(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    return asLandfallError(error).message;
  }
}

export async function refusalOfLater(check: () => Promise<unknown>): Promise<string | null> {
  try {
    await check();
    return null;
  } catch (error) {
    return asLandfallError(error).message;
  }
}
