#!/usr/bin/env bash
# Measures chatfold beside other programs, in turns in one run, and prints a table a question. benches/README.md tells what
# is asked and how to read the figures; docs/performance.md has those of one machine.
#
#   tests/bench.sh [QUESTION…] [OPTION…]     all of it without a question: some hours, 20 GB of disk
#   CHATFOLD_BENCH=smoke tests/bench.sh      everything once, in some minutes; fails where something does not run, an answer
#                                            differs or a delivery is not answered 200. The build is that of the tests
#
# Questions: ingest, rebuild, queries, growth, mixed, subscribers; or their parts: rooms, loads, bare, beside, files.
# CHATFOLD_BENCH_DIR names a folder on the disk to measure (target). CHATFOLD_BENCH_KEEP names a folder that keeps the files of
# queries and growth for the next run. CHATFOLD_PEERS names the other programs (express,fastify,
# postgraphile,datasette; empty: none); their packages are installed from their lock files, and who cannot run is left out and
# named. CHATFOLD_PEERS_REQUIRED=1 fails there instead. The lines of JSON go to target/bench.jsonl (--json FILE).
# Options go to the benchmark, and win over its form: --old BINARY, --binary BINARY, --rounds N, --seconds N, --clients N,N,
# --connections N,N, --inserts N, --lines N, --messages N, --people N, --rows N, --growth N,N, --subscribers N.
set -euo pipefail
cd "$(dirname "$0")/.."

form="${CHATFOLD_BENCH:-full}"
options=(--form "$form" --json target/bench.jsonl)
mkdir -p target

questions=()
while [[ $# -gt 0 && $1 != --* ]]; do
    questions+=("$1")
    shift
done
if [[ ${#questions[@]} -gt 0 ]]; then
    options+=(--parts "$(IFS=,; printf '%s' "${questions[*]}")")
fi

# skip WHO WHY: a program that is not measured.
skip() {
    printf '!! SKIPPED: %s: %s\n' "$1" "$2"
    options+=(--skipped "$1: $2")
    [[ -z ${CHATFOLD_PEERS_REQUIRED:-} ]] || exit 1
}

for peer in $(tr ',' ' ' <<<"${CHATFOLD_PEERS-express,fastify,postgraphile,datasette}"); do
    printf '== packages of %s\n' "$peer"
    [[ -x benches/peers/$peer/peer ]] || {
        printf 'CHATFOLD_PEERS: there is no %s in benches/peers\n' "$peer" >&2
        exit 2
    }
    if ! lacks="$("benches/peers/$peer/peer" install)"; then
        skip "$peer" "$lacks"
    elif [[ $peer == @(fastify|postgraphile) ]] && ! lacks="$(benches/peers/postgres install)"; then
        skip "$peer" "$lacks"
    else
        options+=(--peer "$peer")
    fi
done

# The smoke form measures nothing: it takes the build that the tests have made.
profile=bench
[[ $form == smoke ]] && profile=dev
cargo bench --locked --profile "$profile" --bench benchmark -- "${options[@]}" "$@"
