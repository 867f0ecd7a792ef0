import type { JsonValue } from '../domain/json.ts';
import type { WaveProblem } from './wave-problem.ts';
import type { YamlText } from './yaml-text.ts';

/** A wave file under examination: checks read the data, place their findings in the text and go on. */
export type WaveReview = {
  yaml: YamlText;
  /** As the file has it, with short forms written out. */
  data: JsonValue;
  problems: WaveProblem[];
};
