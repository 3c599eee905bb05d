// Owns code points that JSON can carry and jsonb refuses: U+0000 and lone surrogates.

import type { ProviderEvent } from '../../connectors/connector.ts';

const suspicious = /\\u0000|\\ud[89a-f][0-9a-f]{2}/i;

/**
 * Rows with refused code points replaced by U+FFFD, in keys and values at any depth, and the ids of
 * the rows that this changed. Rows without any are the same objects as before.
 */
export function repairRows(rows: unknown[]): { rows: unknown[]; repaired: string[] } {
  const repaired: string[] = [];
  const result = rows.map((row) => {
    // JSON.stringify escapes both kinds, so one scan of the text finds the rare row.
    if (!suspicious.test(JSON.stringify(row) ?? '')) return row;
    const found = { changed: false };
    const copy = repair(row, found);
    if (!found.changed) return row;
    if (typeof copy === 'object' && copy !== null && 'id' in copy) {
      repaired.push(String(copy.id));
    }
    return copy;
  });
  return { rows: result, repaired };
}

/** The same for events: one whose object was changed says so. */
export function repairEvents(events: ProviderEvent[]): (ProviderEvent & { repaired?: true })[] {
  return events.map((event) => {
    const { rows: [object], repaired } = repairRows([event.object]);
    return repaired.length > 0 ? { ...event, object, repaired: true } : event;
  });
}

function repair(value: unknown, found: { changed: boolean }): unknown {
  if (typeof value === 'string') {
    const clean = value.replaceAll('\u0000', '\ufffd').toWellFormed();
    if (clean !== value) found.changed = true;
    return clean;
  }
  if (Array.isArray(value)) return value.map((item) => repair(item, found));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [repair(key, found), repair(item, found)]),
    );
  }
  return value;
}
