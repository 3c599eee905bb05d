// The property: whatever happens in whatever order, once it is quiet Postgres equals the provider.
// SEEDS says how many histories to play (300), SEED which one alone; a rule that is left out must
// be found out, or the check would prove nothing.

import assert from 'node:assert/strict';
import { note } from '../note.ts';
import postgres, { type Sql } from 'postgres';
import { currentInstance } from '../../supabase/local/instance.ts';
import { up } from '../../supabase/local/stack.ts';
import { type Mutant, play, type ProviderName } from './history.ts';

const only = Deno.env.get('SEED');
const count = Number(Deno.env.get('SEEDS') ?? 300);
/** A history of Intercom takes three times as long to play. */
const share = { stripe: 1, intercom: 0.4 };
const seeds = only ? [Number(only)] : Array.from({ length: count }, (_, index) => index + 1);

/** Functions replaced by what a simpler product would do. */
const mutants: Mutant[] = [
  {
    name: 'order (the last write wins)',
    sql: `create or replace function supasaasy.decide(
        p_stored_at timestamptz, p_stored_until timestamptz, p_same boolean, p_at timestamptz,
        p_until timestamptz, p_source text)
      returns text language sql immutable as
      $$ select case when p_same then 'keep' else 'apply' end $$`,
  },
  {
    name: 'tombstones',
    sql:
      `create function sim.forget() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger forget before insert on supasaasy.tombstones
      for each row execute function sim.forget()`,
  },
  {
    name: 'revalidation',
    sql: `create or replace function supasaasy.request_revalidation(
        p_app_key text, p_collection_key text, p_ids text[], p_after timestamptz[],
        p_run_id bigint default null)
      returns void language sql as $$ select $$`,
  },
  {
    name: 'lag (the watermark moves to the start of the poll)',
    sql: `update supasaasy.connectors set event_lag = '0';
      create or replace function supasaasy.feed_start(p_run supasaasy.sync_runs)
      returns bigint language sql stable as $$
        select ceil(extract(epoch from min(s.events_as_of)))::bigint + 2
        from supasaasy.sync_state s where s.collection_key = any (p_run.covers) $$`,
  },
  {
    name: 'children by parent (removed items are kept)',
    sql: `create function sim.keep() returns trigger language plpgsql as $$
        begin return case when old.collection_key = 'stripe_subscription_item' then null else old end;
        end $$;
      create trigger keep before delete on supasaasy.entities
      for each row execute function sim.keep()`,
  },
  {
    name: 'confirmation of the sweep (what a listing omits is deleted)',
    sql: `create function sim.condemn() returns trigger language plpgsql as $$
        begin
          if new.run_id is not null and new.kind = 'revalidate' then
            delete from supasaasy.entities e
            where e.collection_key = new.collection_key and e.external_id = new.external_id;
            return null;
          end if;
          return new;
        end $$;
      create trigger condemn before insert on supasaasy.sync_tasks
      for each row execute function sim.condemn()`,
  },
  {
    name: 'the count of parts (those of an unchanged conversation are not asked for)',
    provider: 'intercom',
    sql: `update supasaasy.resources set children_count_path = null;
      create function sim.drop() returns trigger language plpgsql as $$
        begin return case when random() < 0.3 then null else new end; end $$;
      create trigger drop before insert on supasaasy.sync_tasks
      for each row when (new.kind = 'children') execute function sim.drop()`,
  },
];

async function withSim(run: (sqls: Sql[]) => Promise<void>): Promise<void> {
  const env = await up(currentInstance(Deno.env.get('SUPASAASY_STACK') ?? 'test'));
  const connect = () => postgres(env.SUPASAASY_DATABASE_URL, { max: 1, onnotice: () => {} });
  const sql = connect();
  try {
    await sql.unsafe(await Deno.readTextFile(new URL('fixtures.sql', import.meta.url)));
    await run([sql]);
  } finally {
    await sql`drop schema sim cascade`;
    await sql.end({ timeout: 1 });
  }
}

const options = { sanitizeOps: false, sanitizeResources: false };

const providers: ProviderName[] = ['stripe', 'intercom'];
const wanted = Deno.env.get('PROVIDER');

for (const provider of providers.filter((name) => !wanted || name === wanted)) {
  Deno.test({
    ...options,
    name: `${provider}: random histories end equal to the provider`,
    fn: () =>
      withSim(async ([sql]) => {
        const begun = Date.now();
        const played = seeds.slice(0, Math.ceil(seeds.length * share[provider]));
        for (const [index, seed] of played.entries()) {
          const differences = await play(sql!, seed, undefined, provider);
          assert.deepEqual(
            differences,
            [],
            `seed ${seed}; replay: PROVIDER=${provider} SEED=${seed} make test-property`,
          );
          if ((index + 1) % 50 === 0) {
            const seconds = Math.round((Date.now() - begun) / 1000);
            note(`${provider}: ${index + 1} histories, 0 wrong, ${seconds} s`);
          }
        }
      }),
  });
}

for (const mutant of mutants) {
  Deno.test({
    ...options,
    name: `without ${mutant.name} a history goes wrong`,
    ignore: only !== undefined,
    fn: () =>
      withSim(async ([sql]) => {
        for (let seed = 1; seed <= 200; seed += 1) {
          const differences = await play(sql!, seed, mutant, mutant.provider);
          if (differences.length > 0) {
            note(`seed ${seed}: ${differences.slice(0, 3).join(', ')}`);
            return;
          }
        }
        assert.fail('200 histories ended equal: this check cannot fail');
      }),
  });
}
