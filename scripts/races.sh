#!/bin/sh
# Types ten starts and stops at once, in random order, and looks who is there: one worker of each or none, no port and no process left.
#
# Usage: scripts/races.sh [ROUNDS] [SEED]
set -eu

MPRISM_RACE_ROUNDS=${1:-20}
export MPRISM_RACE_ROUNDS
if [ $# -gt 1 ]; then
    MPRISM_RACE_SEED=$2
    export MPRISM_RACE_SEED
fi
exec cargo test --test home races -- --nocapture
