/** Finds out what a request to Resource Manager asks for. */
import type { HttpRequest } from '../http.ts';
import { COMPUTE_ROUTES } from './compute-routes.ts';
import { NETWORK_ROUTES } from './network-routes.ts';
import type { Route } from './route.ts';
import { SUBSCRIPTION_ROUTES } from './subscription-routes.ts';

export type RoutedCall = {
  route: Route;
  parameters: Record<string, string>;
  /** Of the thing itself, without a verb. */
  id: string;
};

const ROUTES: readonly Route[] = [...SUBSCRIPTION_ROUTES, ...COMPUTE_ROUTES, ...NETWORK_ROUTES];

/** null where the sandbox knows no such thing. */
export function findRoute({ method, rawPath }: HttpRequest): RoutedCall | null {
  const segments = rawPath
    .split('/')
    .filter((segment) => segment !== '')
    .map(decodeSegment);
  for (const route of ROUTES) {
    if (route.method !== method) continue;
    const parameters = matchPath(route, segments);
    if (parameters === null) continue;
    const own = route.verb === undefined ? segments : segments.slice(0, -1);
    return { route, parameters, id: `/${own.join('/')}` };
  }
  return null;
}

function matchPath({ path, verb }: Route, segments: readonly string[]): Record<string, string> | null {
  const wanted = `${path}${verb === undefined ? '' : `/${verb}`}`.split('/').slice(1);
  if (wanted.length !== segments.length) return null;
  const parameters: Record<string, string> = {};
  for (const [index, pattern] of wanted.entries()) {
    const segment = segments[index] ?? '';
    if (pattern.startsWith('{')) parameters[pattern.slice(1, -1)] = segment;
    else if (pattern.toLowerCase() !== segment.toLowerCase()) return null;
  }
  return parameters;
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
