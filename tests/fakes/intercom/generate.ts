/** Owns the world a workspace starts with: coherent objects, the same for the same seed. */

import { drawPerson } from '../_shared/people.ts';
import { createPrng, type Prng } from '../_shared/prng.ts';
import type { IdKind } from './ids.ts';
import {
  type Author,
  authorOf,
  buildAdmin,
  buildCompany,
  buildContact,
  buildConversation,
  buildPart,
  buildStatistics,
  buildTag,
  buildTeam,
  type IntercomObject,
} from './objects.ts';
import { NESTED_CAP, type Row, type Store, toRow } from './state.ts';

/** How much there is. */
export interface DataOptions {
  contacts: number;
  companies: number;
  conversations: number;
  /** On average; each conversation has one part at least, unless this is 0. */
  partsPerConversation: number;
  /** One conversation more, with this many parts; 0 for none. */
  bigConversation: { parts: number };
  admins: number;
  tags: number;
  teams: number;
  /** How far back the oldest object was created. */
  years: number;
}

/** What there is unless told otherwise. */
export const DEFAULT_DATA: DataOptions = {
  contacts: 200,
  companies: 60,
  conversations: 50,
  partsPerConversation: 12,
  bigConversation: { parts: 0 },
  admins: 5,
  tags: 14,
  teams: 2,
  years: 2,
};

const SENTENCES = [
  'Hello, I cannot log in any more.',
  'Could you send me the last invoice?',
  'That works, thank you!',
  'We looked into it: the export runs again.',
  'Is there a way to add a second seat?',
  'The page stays empty, in any browser — überall 🙈.',
  'Sorry about that, may I have a screenshot?',
  'Nothing has changed since yesterday.',
];
const DAY = 86_400;

interface World {
  store: Store;
  seed: string;
  workspace: string;
  newId: (kind: IdKind, created: number) => string;
  /** The newest second there is. */
  anchor: number;
  data: DataOptions;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** A creation and a last change, in order, within the years the world has. */
const drawTimes = (prng: Prng, world: World): { created: number; updated: number } => {
  const created = world.anchor - prng.int(2, world.data.years * 365 * DAY);
  const updated = prng.chance(0.4) ? created : prng.int(created, world.anchor - 1);
  return { created, updated };
};

const makePeople = (prng: Prng, world: World) => {
  const { data, newId, anchor } = world;
  const born = anchor - data.years * 365 * DAY;
  const teams = range(data.teams).map(() => newId('team', born));
  const admins = range(data.admins).map((index) => {
    const person = drawPerson(prng, index);
    const team_ids = teams.length === 0 ? [] : [Number(teams[index % teams.length])];
    return buildAdmin(newId('admin', born), { name: person.name, email: person.email, team_ids });
  });
  return {
    admins,
    tags: range(data.tags).map((index) => buildTag(newId('tag', born), `Tag ${index + 1}`)),
    teams: teams.map((id, index) =>
      buildTeam(
        id,
        `Team ${index + 1}`,
        admins.filter((admin) => (admin['team_ids'] as number[]).includes(Number(id)))
          .map((admin) => Number(admin.id)),
      )
    ),
  };
};

const makeContacts = (
  prng: Prng,
  world: World,
  tags: readonly IntercomObject[],
  companyIds: readonly string[],
): Row[] =>
  range(world.data.contacts).map((index) => {
    const times = drawTimes(prng, world);
    const id = world.newId('contact', times.created);
    const person = drawPerson(prng, index);
    const lead = prng.chance(0.1);
    // Each company has a member while there are enough contacts; the first contact has too many.
    const companies = new Set<string>(
      companyIds.length === 0
        ? []
        : index === 0
        ? companyIds.slice(0, NESTED_CAP + 2)
        : range(prng.int(0, 2)).map(() => prng.pick(companyIds)),
    );
    const own = companyIds[index];
    if (own !== undefined) companies.add(own);
    const tagIds = new Set<string>(
      tags.length === 0
        ? []
        : index === 1
        ? tags.slice(0, NESTED_CAP + 2).map((tag) => tag.id)
        : range(prng.int(0, 3)).map(() => prng.pick(tags).id),
    );
    const object = buildContact({ id, ...times }, world.workspace, {
      role: lead ? 'lead' : 'user',
      external_id: lead ? `lead-${world.seed}-${index}` : String(70 + index),
      email: lead && prng.chance(0.5) ? null : person.email,
      phone: prng.chance(0.3) ? person.phone : null,
      name: lead && prng.chance(0.5) ? null : person.name,
      signed_up_at: lead ? null : times.created,
      last_seen_at: prng.chance(0.7) ? times.updated : null,
      browser: prng.pick(['chrome', 'firefox', 'safari', null]),
      location: {
        type: 'location',
        country: person.place.country,
        region: person.place.state,
        city: person.place.city,
        country_code: person.place.country,
        continent_code: null,
      },
      custom_attributes: prng.chance(0.5) ? { plan: prng.pick(['free', 'pro']), score: index } : {},
    });
    return toRow(object, { tags: [...tagIds], companies: [...companies] });
  });

const makeCompanies = (prng: Prng, world: World): IntercomObject[] =>
  range(world.data.companies).map((index) => {
    const times = drawTimes(prng, world);
    return buildCompany({ id: world.newId('company', times.created), ...times }, world.workspace, {
      name: drawPerson(prng, index).company,
      monthly_spend: prng.chance(0.5) ? prng.int(0, 5000) : 0,
      session_count: prng.int(0, 400),
      user_count: prng.int(1, 40),
      plan: prng.chance(0.5) ? { type: 'plan', id: '269315', name: 'Pro' } : {},
      custom_attributes: prng.chance(0.3) ? { industry: 'manufacturing', seats: index } : {},
    });
  });

const makeParts = (
  prng: Prng,
  world: World,
  count: number,
  times: { created: number; updated: number },
  contact: Author,
  admins: readonly IntercomObject[],
): IntercomObject[] =>
  range(count).map((index) => {
    const span = times.updated - times.created;
    const at = times.created + Math.floor(span * (index + 1) / count);
    const admin = admins.length > 0 && prng.chance(0.5) ? prng.pick(admins) : null;
    const kind = admin !== null && prng.chance(0.1) ? 'note' : 'comment';
    return buildPart(
      { id: world.newId('part', at), created: at },
      admin === null ? contact : authorOf(admin),
      { part_type: kind, body: `<p>${prng.pick(SENTENCES)}</p>` },
    );
  });

const makeConversations = (
  prng: Prng,
  world: World,
  contacts: readonly Row[],
  admins: readonly IntercomObject[],
): Row[] => {
  const { data, anchor } = world;
  if (contacts.length === 0) return [];
  const total = data.conversations + (data.bigConversation.parts > 0 ? 1 : 0);
  // Rules and macros touch many conversations in the same second.
  const bulk = range(3).map(() => anchor - prng.int(DAY, 20 * DAY));
  return range(total).map((index) => {
    const times = drawTimes(prng, world);
    const shared = prng.pick(bulk);
    if (prng.chance(0.2) && shared >= times.created) times.updated = shared;
    const contact = prng.pick(contacts).object;
    const admin = admins.length > 0 && prng.chance(0.7) ? prng.pick(admins) : null;
    const author = authorOf(admin !== null && prng.chance(0.2) ? admin : contact);
    const count = index === data.conversations
      ? data.bigConversation.parts
      : data.partsPerConversation === 0
      ? 0
      : prng.int(1, data.partsPerConversation * 2 - 1);
    const state = prng.weighted([['open', 4], ['closed', 5], ['snoozed', 1]] as const);
    const object = buildConversation(
      { id: world.newId('conversation', times.created), ...times },
      {
        contact,
        author,
        messageId: world.newId('message', times.created),
        body: `<p>${prng.pick(SENTENCES)}</p>`,
      },
      {
        state,
        open: state === 'open',
        read: prng.chance(0.8),
        snoozed_until: state === 'snoozed' ? anchor + DAY : null,
        priority: prng.chance(0.1) ? 'priority' : 'not_priority',
        title: prng.chance(0.2) ? 'A question' : null,
        admin_assignee_id: admin === null ? null : Number(admin.id),
        statistics: buildStatistics({
          count_conversation_parts: count,
          last_close_at: state === 'closed' ? times.updated : null,
        }),
      },
    );
    const parts = makeParts(prng, world, count, times, authorOf(contact), admins);
    return toRow(object, { parts });
  });
};

/** Fills an empty store. */
export const generateWorld = (world: World): void => {
  const { store, seed } = world;
  const { admins, tags, teams } = makePeople(createPrng(`${seed}/people`), world);
  const companies = makeCompanies(createPrng(`${seed}/companies`), world);
  const companyIds = companies.map((company) => company.id);
  const contacts = makeContacts(createPrng(`${seed}/contacts`), world, tags, companyIds);
  const rows = makeConversations(createPrng(`${seed}/conversations`), world, contacts, admins);
  store.load('admin', admins.map((admin) => toRow(admin)));
  store.load('tag', tags.map((tag) => toRow(tag)));
  store.load('team', teams.map((team) => toRow(team)));
  store.load('company', companies.map((company) => toRow(company)));
  store.load('contact', contacts);
  store.load('conversation', rows);
};
