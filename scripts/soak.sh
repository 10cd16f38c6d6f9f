#!/bin/sh
# Runs the whole pipeline from every exchange for a while (30 minutes unless said), and writes down what each worker's memory
# does meanwhile. Ends with the smoke test's verdict: what is stored equals what was sent.
#
# Usage: scripts/soak.sh [DURATION] [BINARY]
set -eu

duration=${1:-30m}
binary=${2:-target/release/mprism}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

TMPDIR="$folder" "$binary" smoke --duration "$duration" --sample 60s --json >"$folder/verdict.json" 2>"$folder/notes" &
smoke=$!

# Resident memory in MiB of every worker below the smoke test, once a minute.
printf 'minute'
for worker in collector hot cold clickhouse nats; do printf '\t%s' "$worker"; done
printf '\n'
minute=0
while kill -0 "$smoke" 2>/dev/null; do
    sleep 60
    minute=$((minute + 1))
    printf '%s' "$minute"
    for worker in collector hot cold clickhouse nats; do
        memory=$(ps -eo rss=,args= | awk -v worker="$worker" -v folder="$folder" '
            index($0, folder) && (worker == "nats" ? /nats-server/ : index($0, "worker " worker)) { sum += $1 }
            END { printf "%.1f", sum / 1024 }')
        printf '\t%s' "$memory"
    done
    printf '\n'
done
status=0
wait "$smoke" || status=$?
cat "$folder/notes" >&2
cat "$folder/verdict.json"
exit "$status"
