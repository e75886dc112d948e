#!/usr/bin/env bash
# What a stranger, a sender or a reader can do to the others, played against a release build on loopback: prints each with
# what was measured and what must be. About two minutes; everything it starts ends with it.
set -euo pipefail
cd "$(dirname "$0")/.."
# Thousands of connections, at this end too.
ulimit -n "$(ulimit -Hn)"
exec cargo test --release --locked --test strangers -- --ignored --nocapture the_table
