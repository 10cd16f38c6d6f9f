//! The mprism binary: a market-data lake's workers and its control plane.
