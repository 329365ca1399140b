#!/bin/sh
# A Redis on a port of its own that writes nothing to disk, and redis-benchmark against it: `redis.sh start|stop|load PIPELINE`.
# Needs Redis 7.
set -eu
address=${AUTOTUNE_SERVICE:-127.0.0.1}
port=${REDIS_PORT:-18972}
keys=100000

client() { redis-cli -h "$address" -p "$port" "$@"; }

fail() {
    echo "$1" >&2
    exit 1
}

# Keys as redis-benchmark names them, so that each of its requests finds a value.
fill() {
    client eval "for at = 0, $keys - 1 do
        redis.call('set', string.format('key:%012d', at), string.rep('x', 256))
    end" 0
}

case $1 in
start)
    if client ping >/dev/null 2>&1; then fail "port $port has a server already; set REDIS_PORT to a free one"; fi
    # Whoever reaches the port must not be able to write files with CONFIG. The queue is as long as somaxconn lets it be,
    # and transparent huge pages are what the host says.
    redis-server --bind "$address" --port "$port" --protected-mode no --rename-command CONFIG '' --save '' \
        --tcp-backlog 65535 --disable-thp no \
        --appendonly no --dir "$PWD" --pidfile "$PWD/redis.pid" --logfile "$PWD/redis.log" --daemonize yes >&2
    for dummy in $(seq 100); do
        if client ping >/dev/null 2>&1; then break; fi
        sleep 0.05
    done
    kill -0 "$(cat redis.pid)" || fail "$(tail -n 1 redis.log)"
    fill >/dev/null
    [ "$(client dbsize)" = "$keys" ] || fail "Redis has $(client dbsize) keys instead of $keys"
    ;;
stop)
    # By its number: the port could by now be another server's.
    pid=$(cat redis.pid)
    kill "$pid"
    for dummy in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || exit 0
        sleep 0.05
    done
    fail "Redis does not end"
    ;;
load)
    # It also says that it found no configuration, which matters only if it fails.
    redis-benchmark -h "$address" -p "$port" --csv -t get -c "${REDIS_CLIENTS:-50}" -r "$keys" \
        -n "${REDIS_REQUESTS:-250000}" -P "$2" 2>errors || fail "$(tail -n 3 errors)"
    ;;
esac
