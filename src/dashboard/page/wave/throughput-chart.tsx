/** The rate over time with its limit, on a canvas. What it shows is told in words beside it. */
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Throughput } from '../../api/run.ts';
import { watchColours } from '../theme/use-theme.ts';
import { formatRate } from '../view/sizes.ts';
import { seriesOf } from '../view/throughput.ts';
import styles from './throughput.module.css';

const HEIGHT = 170;
const DASHES = [6, 4];

export function ThroughputChart({ throughput, zone }: { throughput: Throughput; zone: string | null }) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(throughput);
  latest.current = throughput;

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const draw = (): void => {
      chart.current?.destroy();
      chart.current = new uPlot(optionsOf(element, zone), seriesOf(latest.current), element);
    };
    draw();
    const resized = new ResizeObserver(() => {
      chart.current?.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    resized.observe(element);
    const unwatch = watchColours(draw);
    return () => {
      unwatch();
      resized.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [zone]);

  useEffect(() => chart.current?.setData(seriesOf(throughput)), [throughput]);

  return <div ref={place} className={styles.chart} aria-hidden="true" />;
}

function optionsOf(element: HTMLElement, zone: string | null): uPlot.Options {
  const colour = (name: string): string => resolveColour(element, name);
  const axis = {
    stroke: colour('--ink-3'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `12px ${getComputedStyle(element).fontFamily}`,
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    ...(zone === null ? {} : { tzDate: (at: number) => uPlot.tzDate(new Date(at * 1000), zone) }),
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(high, 1) * 1.12] } },
    axes: [
      { ...axis, values: CLOCK_LABELS },
      { ...axis, size: 78, splits: byteSplits, values: (_plot, splits) => splits.map(rateLabel) },
    ],
    series: [
      {},
      { stroke: colour('--go-fill'), width: 2, fill: colour('--go-tint'), points: { show: false } },
      { stroke: colour('--bad-fill'), width: 2, dash: DASHES, points: { show: false } },
    ],
  };
}

/** uPlot's own form of "one label every so many seconds": 24 hours, with the day where it changes. */
const CLOCK_LABELS: uPlot.Axis.Values = [
  [86_400, '{D} {MMM}', null, null, null, null, null, null, 1],
  [60, '{HH}:{mm}', '\n{D} {MMM}', null, '\n{D} {MMM}', null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', '\n{D} {MMM}', null, '\n{D} {MMM}', null, null, null, 1],
];

/** At most five lines, at 1, 2 or 5 of a unit. */
function byteSplits(_plot: uPlot, _axis: number, low: number, high: number): number[] {
  const unit = 1000 ** Math.max(0, Math.floor(Math.log10(Math.max(high, 1)) / 3));
  const step =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 250]
      .map((each) => each * unit)
      .find((each) => high / each <= 5) ?? high;
  return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, index) => low + index * step);
}

function rateLabel(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? '0' : formatRate(bytesPerSecond).replace(/\.0+ /, ' ');
}

/** A canvas knows no `light-dark()`: the browser works it out for an element. */
function resolveColour(element: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
