#!/usr/bin/env bash
# The second leg: the same migration and tests on Debian's PostgreSQL 15 with the real pg_cron, in a
# cluster of its own below .local. pg_net and Vault, which Debian lacks, are the stand-ins. Needs
# root, apt and `make install`.
set -euo pipefail
cd "$(dirname "$0")/.."
export DENO_NO_PACKAGE_JSON=1 SUPASAASY_STACK=debian SUPASAASY_PORT=24540
unset DATABASE_URL
deno=node_modules/.bin/deno
bin=/usr/lib/postgresql/15/bin
port=24549
data=/var/tmp/supasaasy-debian
passed=0 failed=0

check() { # check "what it shows" command...
  local name=$1
  shift
  if "$@" > "$data.out" 2>&1; then
    passed=$((passed + 1))
    echo "  ok  $name"
  else
    failed=$((failed + 1))
    echo "FAILED $name"
    cat "$data.out"
  fi
}

if ! [ -e /usr/share/postgresql/15/extension/pg_cron.control ] \
  || ! [ -e /usr/share/postgresql/15/extension/plpgsql_check.control ] \
  || ! [ -e /usr/share/postgresql/15/extension/pgtap.control ] \
  || ! command -v pg_prove > /dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql-15 postgresql-15-cron \
    postgresql-15-pgtap postgresql-15-plpgsql-check libtap-parser-sourcehandler-pgtap-perl > /dev/null
fi

stop() {
  $deno run -A supabase/local/stack.ts down > /dev/null 2>&1 || true
  su postgres -c "$bin/pg_ctl -D $data -m immediate stop" > /dev/null 2>&1 || true
  rm -rf "$data" "$data.out" .local/debian
}
trap stop EXIT
stop

echo "== debian: PostgreSQL 15 with the real pg_cron"
install -d -o postgres -g postgres -m 700 "$data"
su postgres -c "$bin/initdb -D $data -U postgres -A trust -E UTF8 --locale=C.UTF-8" > /dev/null
cat >> "$data/postgresql.conf" <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.host = '127.0.0.1'
CONF
su postgres -c "$bin/pg_ctl -D $data -l $data/log -w start" > /dev/null
$deno run -A supabase/local/stack.ts extensions --share /usr/share/postgresql/15 pg_net supabase_vault

url="postgresql://postgres:postgres@127.0.0.1:$port/postgres"
export SUPASAASY_DATABASE_URL=$url
psql -qX "$url" -c 'create table public.foreign_table (kept text)' \
  -c "insert into public.foreign_table values ('yes')"
$deno run -A supabase/local/stack.ts bootstrap --superuser "$url"
check 'make up installs by db push on a server that it did not create' make -s up
check 'the heartbeat is a job of the real pg_cron' bash -c "psql -qXAt '$url' -c \
  \"select schedule from cron.job where jobname = 'supasaasy-tick'\" | grep -Fx '* * * * *'"
check 'only the stand-in that the server needs has a worker' bash -c "psql -qXAt '$url' -c \
  \"select string_agg(distinct application_name, ' ') from pg_stat_activity \
    where application_name like 'supasaasy-pg%'\" | grep -Fx 'supasaasy-pg_net'"

psql -qX "$url" -f tests/pgtap/fixtures.sql > /dev/null 2>&1
prove=$data.prove
if pg_prove -d "$url" --ext .sql -r $(find tests/pgtap -mindepth 1 -maxdepth 1 -type d | sort) > "$prove" 2>&1
then :; else cat "$prove"; failed=$((failed + 1)); fi
count=$(sed -n 's/^Files=[0-9]*, Tests=\([0-9]*\),.*/\1/p' "$prove")
passed=$((passed + ${count:-0}))
echo "   pg_prove: ${count:-0} tests"
rm -f "$prove"

check 'a whole sync ends equal to the provider' $deno test -A --quiet tests/e2e/sync_test.ts \
  --filter 'what changed, appeared and vanished'
check 'a schedule row fires and syncs, deleting it removes the cron job' $deno test -A --quiet \
  tests/e2e/operate_test.ts --filter 'a schedule row fires'
check 'supabase db lint reports nothing' bash -c "node_modules/.bin/supabase db lint \
  --remote='$url' --schema supasaasy --level warning --fail-on warning --workdir . --yes"
check 'supabase db advisors reports nothing for the schema' bash -c "! node_modules/.bin/supabase \
  db advisors --remote='$url' --workdir . --yes | grep -F '\"schema\": \"supasaasy\"'"
check 'make reset is refused' bash -c "! make -s reset"
check 'a foreign table survives every target' bash -c "psql -qXAt '$url' -c \
  'select kept from public.foreign_table' | grep -Fx yes"

echo "   debian: $passed passed, $failed failed"
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
