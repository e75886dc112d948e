#!/usr/bin/env bash
# Measures several nodes on this machine: first three servers of PostgreSQL, three nodes and the clients share its cores.
# Then PostgreSQL has one core, and chatfold and the clients have another one. Three minutes on a machine that does nothing
# else. docs/cluster.md tells the figures.
set -euo pipefail
cd "$(dirname "$0")/.."
# The commits of PostgreSQL reach the disk, as those of a single machine do.
export CHATFOLD_POSTGRES_FSYNC=on
exec cargo test --release --locked --test figures -- --ignored --nocapture --test-threads=1 the_figures
