/** A disk's cells on a canvas, first to last: copied is solid, zeros are hatched, to do is an empty box. */
import { useEffect, useRef } from 'react';
import type { DiskMap } from '../../api/machine.ts';
import { readColour } from '../theme/read-colour.ts';
import { watchColours } from '../theme/use-theme.ts';
import { clamp } from '../view/disk-cells.ts';
import styles from './disks-panel.module.css';

type Cells = NonNullable<DiskMap['cells']>;
/** In CSS pixels, with the gap after it. */
const CELL_WIDTH = 11;
const CELL_HEIGHT = 13;
const GAP = 2;

export function DiskMapDrawing({ cells, label }: { cells: Cells; label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const redraw = (): void => draw(element, cells);
    const resized = new ResizeObserver(redraw);
    resized.observe(element.parentElement ?? element);
    const unwatch = watchColours(redraw);
    return () => {
      resized.disconnect();
      unwatch();
    };
  }, [cells]);
  return <canvas ref={canvas} className={styles.canvas} role="img" aria-label={label} />;
}

function draw(canvas: HTMLCanvasElement, cells: Cells): void {
  const context = canvas.getContext('2d');
  const place = canvas.parentElement;
  if (context === null || place === null || place.clientWidth === 0) return;
  const columns = Math.max(8, Math.floor((place.clientWidth + GAP) / CELL_WIDTH));
  const pitch = (place.clientWidth + GAP) / columns;
  const height = Math.ceil(cells.length / columns) * CELL_HEIGHT;
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(place.clientWidth * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  context.scale(scale, scale);
  const inks = inksOf(context, place, scale);
  cells.forEach((cell, index) => {
    const box = {
      x: (index % columns) * pitch,
      y: Math.floor(index / columns) * CELL_HEIGHT,
      width: pitch - GAP,
      height: CELL_HEIGHT - GAP,
    };
    const copied = clamp(cell.copied) * box.width;
    const zero = Math.min(clamp(cell.zero) * box.width, box.width - copied);
    context.strokeStyle = inks.line;
    context.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
    context.fillStyle = inks.copied;
    context.fillRect(box.x, box.y, copied, box.height);
    context.fillStyle = inks.zero;
    context.fillRect(box.x + copied, box.y, zero, box.height);
  });
}

function inksOf(
  context: CanvasRenderingContext2D,
  place: HTMLElement,
  scale: number,
): { copied: string; line: string; zero: CanvasPattern | string } {
  const idle = readColour(place, '--idle-fill');
  return {
    copied: readColour(place, '--go-fill'),
    line: readColour(place, '--line-strong'),
    zero: hatch(context, idle, scale) ?? idle,
  };
}

function hatch(context: CanvasRenderingContext2D, colour: string, scale: number): CanvasPattern | null {
  const tile = document.createElement('canvas');
  const size = Math.round(4 * scale);
  tile.width = size;
  tile.height = size;
  const ink = tile.getContext('2d');
  if (ink === null) return null;
  ink.strokeStyle = colour;
  ink.lineWidth = scale;
  ink.beginPath();
  // Thrice, so that the corners of the tile meet.
  for (const shift of [-size, 0, size]) {
    ink.moveTo(shift, size);
    ink.lineTo(shift + size, 0);
  }
  ink.stroke();
  const pattern = context.createPattern(tile, 'repeat');
  pattern?.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}
