/**
 * Owns chance: a small seeded generator, so that a fake world is the same on every machine for the
 * same seed. Not for secrets.
 */

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A stream of seeded chance. Streams with different seeds are independent. */
export interface Prng {
  /** The next number in [0, 1). */
  next(): number;
  /** A whole number in [min, max], both included. */
  int(min: number, max: number): number;
  /** One element of a list that is not empty; throws a RangeError for an empty one. */
  pick<T>(list: readonly T[]): T;
  /** True with the probability `share`, 0 to 1. */
  chance(share: number): boolean;
  /** One value out of `[value, weight]` pairs, by weight. */
  weighted<T>(pairs: readonly (readonly [T, number])[]): T;
  /** A base 62 token, as providers use in ids. */
  token(length: number): string;
}

/** FNV-1a: 32 bits out of any text. */
const hashText = (text: string): number => {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
};

/** Opens a stream. Name streams by what they decide, as in `createPrng(`${seed}/customers`)`. */
export const createPrng = (seed: string | number): Prng => {
  let state = hashText(String(seed));
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  const pick = <T>(list: readonly T[]): T => {
    if (list.length === 0) throw new RangeError('cannot pick from an empty list');
    return list[int(0, list.length - 1)] as T;
  };
  const weighted = <T>(pairs: readonly (readonly [T, number])[]): T => {
    let left = next() * pairs.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [value, weight] of pairs) {
      left -= weight;
      if (left < 0) return value;
    }
    return pick(pairs)[0];
  };
  const token = (length: number): string => {
    let text = '';
    for (let i = 0; i < length; i++) text += ALPHABET[Math.floor(next() * 62)];
    return text;
  };
  return { next, int, pick, chance: (share) => next() < share, weighted, token };
};
