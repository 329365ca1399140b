#!/bin/sh
# nginx on a port of its own, and wrk against it with a new connection for each request: `web.sh start|stop|load`.
set -eu
address=${AUTOTUNE_SERVICE:-127.0.0.1}
port=${WEB_PORT:-18971}
case $address in *:*) address="[$address]" ;; esac
PATH=$PATH:/usr/sbin

configuration() {
    cat <<END
pid nginx.pid;
error_log error.log;
worker_processes auto;
worker_rlimit_nofile 65536;
events { worker_connections 16384; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen $address:$port backlog=65535; # somaxconn limits it
        root $PWD/pages;
    }
}
END
}

case $1 in
start)
    mkdir -p pages
    head -c 4096 /dev/zero | tr '\0' x >pages/page.html
    [ "$(id -u)" -ne 0 ] || chmod 711 . # nginx's workers run as another user
    [ "$(id -u)" -ne 0 ] || chmod -R a+rX pages
    configuration >nginx.conf
    nginx -p "$PWD/" -c nginx.conf
    ;;
stop) nginx -p "$PWD/" -c nginx.conf -s quit ;;
load)
    found=$(wrk --latency --threads 2 --connections "${WEB_CONNECTIONS:-64}" --duration "${WEB_SECONDS:-5}" \
        --header 'Connection: close' "http://$address:$port/page.html")
    printf '%s\n' "$found"
    case $found in
    *Non-2xx*)
        echo "nginx answers with errors: its workers, which are not root, may be unable to read the page" >&2
        exit 1
        ;;
    esac
    ;;
esac
