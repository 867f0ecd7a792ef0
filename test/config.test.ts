import { describe, expect, it } from 'vitest';
import { readConfig } from '../src/config.ts';

describe('the cache', () => {
  const HOME = '/home/me';

  it.each([
    ['in the user’s cache folder', { HOME }, '/home/me/.cache/landfall'],
    ['where XDG_CACHE_HOME says', { HOME, XDG_CACHE_HOME: '/var/cache/me' }, '/var/cache/me/landfall'],
    ['not where an empty XDG_CACHE_HOME says', { HOME, XDG_CACHE_HOME: '' }, '/home/me/.cache/landfall'],
    ['not where a relative XDG_CACHE_HOME says', { HOME, XDG_CACHE_HOME: 'x' }, '/home/me/.cache/landfall'],
    ['in Landfall’s home where the user has none', { LANDFALL_HOME: 'lf' }, '/srv/lf/cache'],
  ])('is %s', (_, environment, cache) => {
    expect(readConfig(environment, '/srv').cache).toBe(cache);
  });
});
