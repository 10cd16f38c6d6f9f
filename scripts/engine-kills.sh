#!/bin/sh
# Kills the engine at the first, second, … system call of every kind that storing rows makes of it, and compares what is stored with
# what was sent. Needs strace and the right to follow processes.
#
# Usage: scripts/engine-kills.sh [KILLS_AT_EACH_KIND]
# MPRISM_TEST_PROGRAM=target/release/mprism makes it with that program, as an absolute path.
set -eu

MPRISM_ENGINE_KILLS=${1:-5}
MPRISM_TEST_REQUIRE=strace
export MPRISM_ENGINE_KILLS MPRISM_TEST_REQUIRE
exec cargo test --test home engine_kills -- --nocapture
