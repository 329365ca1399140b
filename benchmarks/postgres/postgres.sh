#!/bin/sh
# A PostgreSQL of its own, and pgbench against it: `postgres.sh start|stop|reset|load`. Needs PostgreSQL 15 or later.
set -eu
address=${AUTOTUNE_SERVICE:-127.0.0.1}
port=${POSTGRES_PORT:-18973}
export PGHOST="$address" PGPORT="$port" PGUSER=bench PGDATABASE=bench
for folder in /usr/lib/postgresql/*/bin; do
    PATH=$folder:$PATH
done

own() { # PostgreSQL does not run as root
    if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi
}

admin() { own psql --quiet --no-psqlrc --host "$PWD/socket" --username admin --dbname postgres --command "$1"; }

start() {
    own pg_ctl --pgdata "$PWD/data" --wait --silent --log "$PWD/data/log" start \
        --options "-h $address -p $port -k $PWD/socket -c shared_buffers=256MB -c max_wal_size=4GB -c logging_collector=off"
}

case $1 in
start)
    if [ ! -e ready ]; then
        case $(stat -f -c %T .) in
        tmpfs | ramfs)
            [ "${POSTGRES_ON_TMPFS:-0}" = 1 ] || {
                echo "$PWD is in memory, where commits cost nothing; set ansible_remote_tmp to a folder on a disk" >&2
                exit 1
            }
            ;;
        esac
        rm -rf data socket # of a start that was interrupted
        mkdir data socket
        if [ "$(id -u)" -eq 0 ]; then
            chown postgres data socket
            chmod 711 .
        fi
        own initdb --pgdata "$PWD/data" --username admin --auth-local=trust --auth-host=reject --no-sync >/dev/null
        # Over the network there is only an account that owns nothing but the database of the benchmark.
        own sh -c 'echo "host bench bench all trust" >"$1"; echo "local all admin trust" >>"$1"' sh "$PWD/data/pg_hba.conf"
        start
        admin 'CREATE ROLE bench LOGIN IN ROLE pg_checkpoint'
        admin 'CREATE DATABASE bench OWNER bench'
        pgbench --initialize --quiet --scale "${POSTGRES_SCALE:-20}" bench 2>/dev/null
        : >ready
    else
        start
    fi
    ;;
stop) own pg_ctl --pgdata "$PWD/data" --mode fast --wait --silent stop ;;
reset) psql --quiet --no-psqlrc --command CHECKPOINT ;;
load) exec pgbench --no-vacuum --client "${POSTGRES_CLIENTS:-8}" --jobs 2 --time "${POSTGRES_SECONDS:-6}" bench ;;
esac
