#!/bin/sh
# Makes fresh homes, one after the other, and has each run `mprism up --sim --for 10s`: from nothing to verified rows and down again.
# Ends with 0 only if all of them did.
#
# Usage: scripts/fresh-homes.sh [HOMES] [BINARY]
set -eu

homes=${1:-20}
binary=${2:-target/release/mprism}
offset=${MPRISM_PORT_OFFSET:-23100}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

whole=0
number=0
while [ "$number" -lt "$homes" ]; do
    number=$((number + 1))
    home=$folder/$number
    began=$(date +%s)
    if "$binary" up --sim --for 10s --json --home "$home" --port-offset "$offset" >"$folder/verdict" 2>"$folder/notes"; then
        whole=$((whole + 1))
        verdict=whole
    else
        verdict=failed
        cat "$folder/notes" "$folder/verdict" >&2
        "$binary" down --home "$home" --port-offset "$offset" >/dev/null 2>&1 || true
    fi
    printf '%s of %s: %s after %s s\n' "$number" "$homes" "$verdict" "$(($(date +%s) - began))"
    rm -rf "$home"
done
printf '%s of %s\n' "$whole" "$homes"
[ "$whole" = "$homes" ]
