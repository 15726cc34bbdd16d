#!/bin/sh
# Makes this machine ready for profiling without root: finds denet and calls `denet setup --apply`, with
# whatever is given besides, such as --debug, --user NAME or --yes. `denet setup` alone shows the plan.
#
#   sudo setup/setup_tracefs_permissions.sh [--debug] [ARGUMENT…]
set -eu

say() { printf 'setup_tracefs_permissions.sh: %s\n' "$*" >&2; }

here=$(dirname -- "$0")
denet=
# One just built goes before one that was installed once.
for candidate in "$here/denet" "$here/../target/release/denet" "$(command -v denet || :)"; do
    if [ -f "$candidate" ] && [ -x "$candidate" ]; then
        denet=$candidate
        break
    fi
done
if [ -z "$denet" ]; then
    say "denet is not beside this script, not in target/release and not in PATH: build it with cargo build --release"
    exit 125
fi
if [ "$(id -u)" != 0 ]; then
    say "this changes the system, and needs root: sudo $0 $*"
    exit 125
fi
exec "$denet" setup --apply "$@"
