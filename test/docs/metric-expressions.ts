/** What PromQL texts name: metrics, and the labels that are asked of them. As much of the grammar as the docs use. */

export type Selector = { metric: string; labels: string[] };

/** Every metric with the labels that its braces and the aggregation around it ask for. */
export function selectorsOf(expression: string): Selector[] {
  const groups = [...expression.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, names = '']) => namesOf(names));
  return [...expression.matchAll(/\b((?:landfall|nodejs|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map(
    ([, metric = '', matchers = '']) => ({
      metric,
      labels: [...groups, ...[...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, name = '']) => name)],
    }),
  );
}

function namesOf(list: string): string[] {
  return list.split(',').map((name) => name.trim());
}
