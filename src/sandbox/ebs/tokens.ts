/**
 * Block tokens and page tokens: each names what it is good for and until when, and carries a proof that this account
 * made it.
 *   token = base64(value: 8 bytes, end: 8 bytes, proof: 16 bytes)
 */
import { hash, timingSafeEqual } from 'node:crypto';

export type Tokens = {
  /** `scope` says what the value counts, for example the blocks of one snapshot. */
  write(scope: string, token: Token): string;
  /** null where the token is of another scope, changed or expired. */
  read(scope: string, text: string, now: number): number | null;
};

export type Token = { value: number; endsAt: number };

const TOKEN_BYTES = 32;
const CLEAR_BYTES = 16;

export function createTokens(secret: string): Tokens {
  const prove = (scope: string, clear: Buffer): Buffer =>
    hash('sha256', `${secret} ${scope} ${clear.toString('hex')}`, 'buffer').subarray(
      0,
      TOKEN_BYTES - CLEAR_BYTES,
    );
  return {
    write(scope, { value, endsAt }) {
      const token = Buffer.alloc(TOKEN_BYTES);
      token.writeDoubleBE(value, 0);
      token.writeDoubleBE(endsAt, 8);
      prove(scope, token.subarray(0, CLEAR_BYTES)).copy(token, CLEAR_BYTES);
      return token.toString('base64');
    },
    read(scope, text, now) {
      const token = Buffer.from(text, 'base64');
      if (token.length !== TOKEN_BYTES || token.toString('base64') !== text) return null;
      const clear = token.subarray(0, CLEAR_BYTES);
      if (!timingSafeEqual(prove(scope, clear), token.subarray(CLEAR_BYTES))) return null;
      return token.readDoubleBE(8) < now ? null : token.readDoubleBE(0);
    },
  };
}
