// Owns how results are summed up and shown: medians with their spread, and the table.

/** One measured figure beside what it is compared with. */
export interface Figure {
  what: string;
  value: string;
  /** What the same run measured of the plain way to do it; empty where there is none. */
  baseline?: string;
  /** Empty for what is only told. */
  target?: string;
  met?: boolean;
  /** Told of a figure that misses its target. */
  why?: string;
}

/** A part of the benchmark. */
export interface Part {
  name: string;
  about: string;
  run(): Promise<Figure[]>;
}

/** The middle of the values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? NaN;
  return sorted.length % 2 ? high : ((sorted[middle - 1] ?? NaN) + high) / 2;
}

/** The value below which a share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

/** A number with three or so digits that matter. */
export function short(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return Number(value.toFixed(digits)).toLocaleString('en-US');
}

/** `median unit (min..max)` */
export function spread(values: readonly number[], unit: string): string {
  return `${short(median(values))} ${unit}`.trimEnd() +
    (values.length > 1 ? ` (${short(Math.min(...values))}..${short(Math.max(...values))})` : '');
}

const columns = ['figure', 'measured (min..max)', 'baseline of the same run', 'target', ''];

function cells(figure: Figure): string[] {
  const verdict = figure.met === undefined ? '' : figure.met ? 'met' : '**missed**';
  return [figure.what, figure.value, figure.baseline ?? '', figure.target ?? '', verdict];
}

/** A part's figures as a Markdown table whose columns line up, and why some were missed. */
export function table(figures: readonly Figure[]): string {
  const rows = [columns, ...figures.map(cells)];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: string[]) =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  const reasons = figures.filter((figure) => figure.met === false && figure.why);
  return [
    line(head),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...body.map(line),
    ...reasons.map((figure) => `\nMissed, ${figure.what}: ${figure.why}`),
  ].join('\n');
}
