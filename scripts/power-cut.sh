#!/bin/sh
# Cuts the power of a running home at random moments (its disk is an image that is copied while everything is stopped), opens what
# is left, and compares: nothing older than 100 ms is lost, nothing is doubled. Needs the right to mount.
#
# Usage: scripts/power-cut.sh [CUTS]
# MPRISM_TEST_PROGRAM=target/release/mprism makes it with that program, as an absolute path.
set -eu

MPRISM_POWER_CUTS=${1:-20}
MPRISM_TEST_REQUIRE=loop
export MPRISM_POWER_CUTS MPRISM_TEST_REQUIRE
exec cargo test --test home power_cut -- --nocapture
