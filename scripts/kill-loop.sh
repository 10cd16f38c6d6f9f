#!/bin/sh
# Kills hot, collector, clickhouse, nats and cold at random moments while every exchange sends 5,000 events a second of all types,
# and compares what is stored with what was sent: in the hot store and in the cold one, nothing lost, nothing doubled.
#
# Usage: scripts/kill-loop.sh [ROUNDS] [SEED]
# MPRISM_TEST_PROGRAM=target/release/mprism makes it with that program, as an absolute path.
set -eu

MPRISM_KILL_ROUNDS=${1:-100}
MPRISM_KILL_RATE=5000
export MPRISM_KILL_ROUNDS MPRISM_KILL_RATE
if [ $# -gt 1 ]; then
    MPRISM_KILL_SEED=$2
    export MPRISM_KILL_SEED
fi
exec cargo test --test home kill_loop -- --nocapture
