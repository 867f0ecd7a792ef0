/** What commands and calls of the operator are told of the machine for which they are made. */
import type { StepInput } from './step-input.ts';

export type ToldFacts = {
  run: string;
  machine: string;
  /** The source's own id of it. */
  uuid: string | null;
  /** The landing's id at the target, once there is one. */
  landing: string | null;
  address: string | null;
};

export function factsOf({ record }: StepInput): ToldFacts {
  const { run, machine, landing } = record;
  const address = landing?.address ?? null;
  return { run, machine: machine.name, uuid: machine.uuid, landing: landing?.id ?? null, address };
}

/** LANDFALL_RUN, LANDFALL_MACHINE, LANDFALL_UUID, LANDFALL_LANDING, LANDFALL_ADDRESS: those that are known. */
export function environmentOf(facts: ToldFacts): Record<string, string> {
  const known = Object.entries(facts).filter((fact): fact is [string, string] => fact[1] !== null);
  return Object.fromEntries(known.map(([name, value]) => [`LANDFALL_${name.toUpperCase()}`, value]));
}

/** `{machine}` and its like, each as `encode` writes it; those that are not known stay. */
export function fillIn(text: string, facts: ToldFacts, encode: (value: string) => string): string {
  return text.replace(/\{(run|machine|uuid|landing|address)\}/g, (placeholder, name: keyof ToldFacts) => {
    const value = facts[name];
    return value === null ? placeholder : encode(value);
  });
}
