#!/bin/sh
# fio's jobs of mixed.fio, in FIO_FOLDER; its default is on a disk on most systems.
set -eu
FIO_FOLDER=$(mktemp -d "${FIO_FOLDER:-/var/tmp}/autotune-fio.XXXXXX")
FIO_SECONDS=${FIO_SECONDS:-6}
export FIO_FOLDER FIO_SECONDS
trap 'rm -rf "$FIO_FOLDER"' EXIT
trap 'exit 1' HUP INT TERM
fio --output-format=json mixed.fio
