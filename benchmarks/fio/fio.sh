#!/bin/sh
# fio's jobs of mixed.fio, in FIO_FOLDER; its default is on a disk on most systems: `fio.sh run|remove`.
set -eu
FIO_FOLDER=${FIO_FOLDER:-/var/tmp}/autotune-fio.${PWD##*.}
FIO_SECONDS=${FIO_SECONDS:-6}
export FIO_FOLDER FIO_SECONDS

rm -rf "$FIO_FOLDER" # that of a run that was killed, too
[ "$1" != remove ] || exit 0
mkdir -m 700 "$FIO_FOLDER"
trap 'rm -rf "$FIO_FOLDER"' EXIT
trap 'exit 1' HUP INT TERM
fio --output-format=json mixed.fio
