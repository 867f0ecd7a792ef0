/** The one list that names every vendor. A new one costs its folder and a line here. */
import type { SourceAdapter, TargetAdapter } from '../src/domain/adapter.ts';

export const sources: Readonly<Record<string, SourceAdapter>> = {};

export const targets: Readonly<Record<string, TargetAdapter>> = {};
