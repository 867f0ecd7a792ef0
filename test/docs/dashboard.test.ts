/** docs/dashboard.md and the Grafana dashboard against what is served. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { CALLBACK_PATH } from '../../src/dashboard/access/oidc-routes.ts';
import { ACCESS_ENVIRONMENT } from '../../src/dashboard/access/settings.ts';
import { ROLES } from '../../src/dashboard/api/session.ts';
import { METRICS, type MetricName } from '../../src/dashboard/metrics/catalogue.ts';
import { createMetrics } from '../../src/dashboard/metrics/registry.ts';
import { fencedBlocks, sectionOf, tableRows } from './markdown.ts';
import { type Selector, selectorsOf } from './metric-expressions.ts';

const page = { path: 'docs/dashboard.md', text: await readFile('docs/dashboard.md', 'utf8') };
const grafana = JSON.parse(await readFile('docs/grafana-dashboard.json', 'utf8')) as Grafana;
/** Of the process itself: prom-client's own. */
const ofProcess = new Set(
  [...(await createMetrics().print(null)).matchAll(/^# TYPE (\w+) /gm)].map(([, name = '']) => name),
);

type Panel = {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string }[];
};
type Grafana = { panels: Panel[]; templating: { list: { name: string; definition?: string }[] } };

describe('docs/grafana-dashboard.json', () => {
  const expressions = [
    ...grafana.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...grafana.templating.list.flatMap(({ definition = [] }) => definition),
  ];

  test.each(expressions)('asks for what /metrics tells: %s', (expression) => {
    const selectors = selectorsOf(expression);
    expect(selectors.length).toBeGreaterThan(0);
    expect(selectors.flatMap(complaints)).toEqual([]);
  });

  test('shows every metric of Landfall', () => {
    const asked = new Set(expressions.flatMap(selectorsOf).map(({ metric }) => familyOf(metric)));
    const hidden = (Object.keys(METRICS) as MetricName[]).filter((name) => !asked.has(name));
    // How many runs there are tells less than how their machines are.
    expect(hidden).toEqual(['landfall_runs']);
  });

  test('has its panels beside each other, each with an id of its own', () => {
    const { panels } = grafana;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const a of panels) {
      expect(a.gridPos.x + a.gridPos.w, a.title).toBeLessThanOrEqual(24);
      for (const b of panels)
        if (a.id < b.id) expect(overlaps(a.gridPos, b.gridPos), `${a.title}, ${b.title}`).toBe(false);
    }
  });
});

describe('docs/dashboard.md', () => {
  test('has every metric with its labels, and no other', () => {
    const rows = tableRows(sectionOf(page, 'Metrics'));
    const listed = rows.map(([name = '', type = '', labels = '']) => [
      name.replaceAll('`', ''),
      type,
      [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
    ]);
    expect(listed).toEqual(
      Object.entries(METRICS).map(([name, { type, labels }]) => [name, type, [...labels]]),
    );
  });

  test('names the address that the provider sends people back to', () => {
    expect(page.text).toContain(`https://landfall.acme.com${CALLBACK_PATH}`);
  });

  test('has alerts that ask for what there is', () => {
    const asked = fencedBlocks(page, 'yaml').flatMap((block) => [...block.matchAll(/^\s*expr: (.*)$/gm)]);
    expect(asked.length).toBeGreaterThan(3);
    expect(asked.flatMap(([, expression = '']) => selectorsOf(expression).flatMap(complaints))).toEqual([]);
  });

  test('has every variable of its part of the environment, and every role', () => {
    for (const name of Object.keys(ACCESS_ENVIRONMENT)) expect(page.text).toContain(name);
    const roles = tableRows(sectionOf(page, 'Roles')).map(([name = '']) => name.replaceAll('`', ''));
    expect(roles).toEqual([...ROLES]);
  });
});

function complaints({ metric, labels }: Selector): string[] {
  if (ofProcess.has(metric) && !metric.startsWith('landfall_')) return [];
  const family = familyOf(metric);
  if (family === null) return [`${metric} is not told`];
  const known: readonly string[] = [...METRICS[family].labels, ...(metric.endsWith('_bucket') ? ['le'] : [])];
  return labels.filter((label) => !known.includes(label)).map((label) => `${metric} has no label ${label}`);
}

/** A histogram is told as three. */
function familyOf(metric: string): MetricName | null {
  if (isMetric(metric)) return METRICS[metric].type === 'histogram' ? null : metric;
  const family = metric.replace(/_(bucket|sum|count)$/, '');
  return isMetric(family) && METRICS[family].type === 'histogram' ? family : null;
}

function isMetric(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}

function overlaps(a: Panel['gridPos'], b: Panel['gridPos']): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
