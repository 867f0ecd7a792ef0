import { expect, test } from 'vitest';
import { RequestProblem } from '../../../src/dashboard/page/data/problem.ts';
import { localTarget, titleOfLoginProblem } from '../../../src/dashboard/page/view/login-target.ts';

test('a login leads on to pages of ours only', () => {
  expect(localTarget('/runs/w-1/machines/a%2Fb?x=1')).toBe('/runs/w-1/machines/a%2Fb?x=1');
  const foreign = [
    null,
    '',
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    'javascript:alert(1)',
  ];
  for (const to of [...foreign, '/\t/evil.example', '/login?to=/x', '/api/logout'])
    expect(localTarget(to)).toBe('/');
});

test('each way not to get in has a name of its own', () => {
  const titles = [0, 401, 429, 403].map((status) =>
    titleOfLoginProblem(new RequestProblem({ code: 'x', message: 'y', status })),
  );
  expect(new Set(titles).size).toBe(4);
});
