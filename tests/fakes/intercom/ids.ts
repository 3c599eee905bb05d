/** Owns ids as Intercom makes them: 24 hex digits, or numbers as text, some beyond int4. */

import type { Prng } from '../_shared/prng.ts';

/** What ids are made for. */
export type IdKind =
  | 'contact'
  | 'company'
  | 'conversation'
  | 'part'
  | 'message'
  | 'admin'
  | 'tag'
  | 'team';

/** Where numeric ids start; of two entries the second is used for every third id. */
const STARTS: Record<string, readonly [number, number]> = {
  conversation: [471, 215_470_000_000_471],
  part: [2_147_400_000, 28_119_000_000],
  message: [403_918_320, 403_918_320],
  admin: [991_267_466, 991_267_466],
  tag: [102, 102],
  team: [5_017_691, 5_017_691],
};

/** Makes ids; each is new. `created` goes into the hex ids, as it does in Intercom's. */
export const createIds = (prng: Prng): (kind: IdKind, created: number) => string => {
  const counts = new Map<IdKind, number>();
  return (kind, created) => {
    const serial = counts.get(kind) ?? 0;
    counts.set(kind, serial + 1);
    const starts = STARTS[kind];
    if (starts !== undefined) return String((serial % 3 === 2 ? starts[1] : starts[0]) + serial);
    const chance = prng.int(0, 0xffffffff);
    return [created, chance, serial].map((part) => part.toString(16).padStart(8, '0')).join('');
  };
};
