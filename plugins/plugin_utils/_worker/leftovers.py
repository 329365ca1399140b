# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Shell text for the host that ends what a benchmark leaves behind: at its end, and when the connection breaks.

Each reads the private folder from the variable `folder`, but CLEANUP, which creates it.
"""

from __future__ import annotations

from .output import PROCESS_GROUP

# Processes that leave the process group, such as daemons, are found by this environment variable. One that is about to
# run another program shows no environment for a moment: the list is looked through again even if nothing was found.
MARK = "AUTOTUNE_BENCHMARK"  # as module_utils/_process_group.py has it
KILL_LEFTOVERS = f"""for dummy in 1 2 3; do
    leftovers=$(grep -lsF "{MARK}=$folder" /proc/[0-9]*/environ | cut -d/ -f3)
    [ -z "$leftovers" ] || kill -s KILL $leftovers 2>/dev/null
done
"""
# nginx, PostgreSQL and others overwrite their environment with a title, but stay in the folder in which they were
# started. A process with a terminal is a person looking around.
KILL_DAEMONS = """for dummy in 1 2 3; do
    daemons=
    for pid in $(ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -F "/cwd -> $folder" |
        sed 's|.*/proc/\\([0-9]*\\)/cwd -> .*|\\1|'); do
        [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f5)" = 0 ] && daemons="$daemons $pid"
    done
    [ -n "$daemons" ] && kill -s KILL $daemons 2>/dev/null || break
done
"""
DAEMONS = "autotune-daemons"  # in a folder from which a service was started
_HEARTBEAT_SECONDS = 5
# Runs on the host as long as the connection lasts. When its input ends, because the controller is done or dead or sshd
# has ended, it kills what is left of the benchmark and removes the folder. It writes a byte now and then, because only
# a write detects a controller that vanished while the link was cut; a reader would take two hours.
# $1: the parent folder, or empty for the host's default for temporary files.
CLEANUP = f"""base=$1
case $base in
    "~" | "~/"*) base=$HOME${{base#"~"}} ;;
    "\\$HOME" | "\\$HOME/"*) base=$HOME${{base#"\\$HOME"}} ;;
esac
case $base in
    "" | /*) ;;
    *) echo "not an absolute path" >&2; exit 1 ;;
esac
if [ -n "$base" ]; then
    (umask 077 && mkdir -p -- "$base") || exit 1
    base=$(cd -P -- "$base" && pwd) || exit 1 # root must not follow this account's links
fi
folder=$(mktemp -d "${{base:-${{TMPDIR:-/tmp}}}}/autotune.XXXXXXXXXX") || exit 1
printf '#!/bin/sh\\n' > "$folder/.runs" && chmod 700 "$folder/.runs"
"$folder/.runs" 2> /dev/null && runs=runs || runs=noexec
rm -f "$folder/.runs"
echo "$runs $folder"
(trap 'kill $! 2>/dev/null; wait; exit' TERM; while sleep {_HEARTBEAT_SECONDS} > /dev/null 2>&1 & wait $!
do echo; done) &
cat > /dev/null
kill $!
wait
cd "$folder" && [ -s {PROCESS_GROUP} ] && read -r group started < {PROCESS_GROUP} &&
    case $(cut -d' ' -f22 "/proc/$group/stat" 2>/dev/null) in
    '' | "$started") kill -s KILL -- "-$group" 2>/dev/null ;; # else the number has been reused
    esac
cd /
{KILL_LEFTOVERS}if [ -e "$folder/{DAEMONS}" ]; then
{KILL_DAEMONS}fi
rm -rf -- "$folder"
"""
