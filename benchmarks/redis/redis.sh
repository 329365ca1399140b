#!/bin/sh
# A Redis on a port of its own that writes nothing to disk, and redis-benchmark against it: `redis.sh start|stop|load PIPELINE`.
set -eu
address=${AUTOTUNE_SERVICE:-127.0.0.1}
port=${REDIS_PORT:-18972}

case $1 in
start)
    # Whoever reaches the port must not be able to write files with CONFIG.
    redis-server --bind "$address" --port "$port" --protected-mode no --rename-command CONFIG '' --save '' \
        --appendonly no --dir "$PWD" --pidfile "$PWD/redis.pid" --logfile "$PWD/redis.log" --daemonize yes >&2
    for dummy in $(seq 100); do
        if redis-cli -h "$address" -p "$port" ping >/dev/null 2>&1; then exit; fi
        sleep 0.05
    done
    tail -n 1 redis.log >&2
    exit 1
    ;;
stop) redis-cli -h "$address" -p "$port" shutdown nosave ;;
load)
    # Only the numbers: it looks for its server's configuration, and says that it found none.
    exec redis-benchmark -h "$address" -p "$port" --csv -t get -c "${REDIS_CLIENTS:-50}" -d 256 -r 100000 \
        -n "${REDIS_REQUESTS:-250000}" -P "$2" 2>/dev/null
    ;;
esac
