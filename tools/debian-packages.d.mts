/** What TypeScript (tests, `landfall doctor`) sees of debian-packages.mjs. */
export type Purpose = 'run' | 'demo' | 'test' | 'bench' | 'peers';
export type DebianPackage = {
  name: string;
  purpose: Purpose;
  gives: string;
  why: string;
  fromAnywhere?: boolean;
};

export const PURPOSES: readonly Purpose[];
export const DEBIAN_PACKAGES: readonly DebianPackage[];
export function packagesFor(purpose: string): DebianPackage[];
export function isDebian(environment?: Readonly<Record<string, string | undefined>>): boolean;
export function findMissing(
  packages: readonly DebianPackage[],
  environment?: Readonly<Record<string, string | undefined>>,
): DebianPackage[];
export function installLine(packages: readonly DebianPackage[]): string;
export function installPackages(
  packages: readonly DebianPackage[],
  options?: { environment?: Readonly<Record<string, string | undefined>>; policyFile?: string },
): Promise<boolean>;
