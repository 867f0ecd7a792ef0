/** Why an image is not taken. Each message names the image, what was found in its bytes, and the remedy. */
import { type ErrorContext, LandfallError } from '../domain/errors.ts';

export type Refusal = {
  /** How messages call the image: its path, or `archive.ova!member`. */
  label: string;
  /** What was found, as the rest of a sentence: "it names a backing file". */
  found: string;
  /** What the operator can do, as whole sentences. */
  remedy: string;
  context?: ErrorContext;
  cause?: unknown;
};

export const COPY_AGAIN = 'Copy or export it again from its source and compare the sizes.';

/** It reaches for files that are not its own, or claims what cannot be true. */
export function hostileImage(refusal: Refusal): LandfallError {
  return refuse('image-hostile', refusal);
}

/** It is damaged, or not whole. */
export function corruptImage(refusal: Refusal): LandfallError {
  return refuse('image-corrupt', refusal);
}

/** It may be sound, but Landfall cannot read it. */
export function unreadableImage(refusal: Refusal): LandfallError {
  return refuse('image-unreadable', refusal);
}

export function missingImage(refusal: Refusal): LandfallError {
  return refuse('image-missing', refusal);
}

function refuse(
  code: 'image-hostile' | 'image-corrupt' | 'image-unreadable' | 'image-missing',
  { label, found, remedy, context, cause }: Refusal,
): LandfallError {
  return new LandfallError({
    code,
    message: `Cannot take ${label}: ${found}. ${remedy}`,
    context: { image: label, ...context },
    cause,
  });
}
