#!/bin/sh
# Requests and responses of 64 bytes by sockperf, beside a bulk stream by iperf3: `latency.sh start|stop|load`.
set -eu
address=${AUTOTUNE_SERVICE:-127.0.0.1}
port=${LATENCY_PORT:-18974}
bulk=$((port + 1))
seconds=${LATENCY_SECONDS:-5}

case $1 in
start)
    setsid sockperf server --tcp -i "$address" -p "$port" >/dev/null 2>sockperf.log </dev/null &
    iperf3 --server --bind "$address" --port "$bulk" --daemon --pidfile "$PWD/iperf3.pid"
    for dummy in $(seq 100); do
        if sockperf ping-pong --tcp -i "$address" -p "$port" -t 1 --mps 10 >/dev/null 2>&1; then exit; fi
        sleep 0.05
    done
    tail -n 1 sockperf.log >&2
    exit 1
    ;;
stop) ;; # what is left of `start` is killed
load)
    iperf3 --client "$address" --port "$bulk" --time $((seconds + 30)) --bitrate "${LATENCY_BULK:-500M}" >bulk.log 2>&1 &
    sockperf under-load --tcp -i "$address" -p "$port" -t "$seconds" --mps "${LATENCY_RATE:-5000}" --reply-every 1 \
        -m 64
    if ! kill $! 2>/dev/null; then
        echo "the bulk stream to port $bulk ended early: $(tail -n 1 bulk.log)" >&2
        exit 1
    fi
    ;;
esac
