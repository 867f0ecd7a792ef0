/** Who acts at this command line: the audit trail names them. */
import { hostname, userInfo } from 'node:os';

export function operatorName(): string {
  return `${process.env.SUDO_USER ?? accountName()}@${hostname()}`;
}

/** In a container the process's user may have no name. */
function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

/** What an operation needs, with who acts. */
export function asOperator<Deps extends object>(deps: Deps): Deps & { by: string } {
  return { ...deps, by: operatorName() };
}
