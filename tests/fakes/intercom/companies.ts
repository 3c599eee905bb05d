/**
 * Owns how companies are read in bulk: numbered pages that end at 10,000 companies, and the scroll,
 * of which a workspace has one at a time.
 */

import type { Prng } from '../_shared/prng.ts';
import { errors } from './errors.ts';
import type { IntercomObject } from './objects.ts';
import { envelope, readCount, type Tampering } from './pages.ts';
import type { Row, Store } from './state.ts';

/** The limits, which tests may lower. */
export interface CompanyLimits {
  /** How far numbered pages go. */
  listed: number;
  /** Companies on a page of the scroll. */
  scrollPage: number;
  /** Seconds after which an unused scroll is gone. */
  scrollIdle: number;
}

/** What Intercom documents, with 100 on a page of the scroll. */
export const DOCUMENTED_LIMITS: CompanyLimits = { listed: 10_000, scrollPage: 100, scrollIdle: 60 };

const MAX_PER_PAGE = 60;

/** Companies with users, the latest changed first. */
const listedRows = (store: Store): Row[] =>
  store.collections.company.orders.updated
    .filter((row) => (row.object['user_count'] as number) > 0)
    .reverse();

/** Numbered pages of objects. `url` is the address of the list, without a query. */
export const numberedPage = (
  objects: readonly IntercomObject[],
  query: URLSearchParams,
  url: string,
  tampering: Tampering,
  limit = Infinity,
): string => {
  const perPage = readCount('per_page', query.get('per_page'), 15, MAX_PER_PAGE);
  const page = readCount('page', query.get('page'), 1, Infinity);
  if (page * perPage > limit) throw errors.pageLimit();
  const data = objects.slice((page - 1) * perPage, page * perPage);
  const more = page * perPage < objects.length;
  return envelope(
    {
      type: 'list',
      total_count: objects.length,
      pages: {
        type: 'pages',
        next: more ? `${url}?per_page=${perPage}&page=${page + 1}` : null,
        page,
        per_page: perPage,
        total_pages: Math.ceil(objects.length / perPage),
      },
    },
    'data',
    data,
    tampering,
  );
};

/** One numbered page of companies. */
export const companyPage = (
  store: Store,
  query: URLSearchParams,
  url: string,
  limits: CompanyLimits,
  tampering: Tampering,
): string => {
  const objects = listedRows(store).map((row) => row.object);
  return numberedPage(objects, query, url, tampering, limits.listed);
};

/** The scroll of a workspace. */
export interface Scroll {
  /** The next page: the first without a parameter. A page that got lost cannot be had again. */
  next(param: string | null, tampering: Tampering): string;
  /** Whether one is open by now. */
  isOpen(): boolean;
}

/** The scroll; `now` is in milliseconds, by the fake's clock. */
export const createScroll = (
  store: Store,
  prng: Prng,
  now: () => number,
  limits: CompanyLimits,
): Scroll => {
  let open: { param: string; ids: string[]; used: number } | null = null;
  const expire = (): void => {
    if (open !== null && now() - open.used >= limits.scrollIdle * 1000) open = null;
  };
  const newParam = (): string => {
    const hex = prng.int(0, 0xffffffff).toString(16).padStart(8, '0');
    return `${hex}-fake-4000-8000-${prng.token(12).toLowerCase()}`;
  };
  return {
    next(param, tampering) {
      expire();
      if (param === null || param === '') {
        if (open !== null) throw errors.scrollExists();
        open = { param: newParam(), ids: listedRows(store).map((row) => row.id), used: now() };
      } else if (open?.param !== param) {
        throw errors.scrollGone();
      }
      open.used = now();
      const current = open.param;
      const { byId } = store.collections.company;
      let data: IntercomObject[] = [];
      // Companies deleted since the start are not shown, and only the end is an empty page.
      while (data.length === 0 && open.ids.length > 0) {
        data = open.ids.splice(0, limits.scrollPage)
          .map((id) => byId.get(id)?.object)
          .filter((object) => object !== undefined);
      }
      if (data.length === 0) open = null;
      const head = { type: 'list', pages: null, total_count: null, scroll_param: current };
      return envelope(head, 'data', data, tampering);
    },
    isOpen() {
      expire();
      return open !== null;
    },
  };
};
