#!/usr/bin/env bash
# Measures the write path: this chatfold, an older build of it (--old BINARY), an Express receiver and a bare writer of the
# same rows, in turns in one run, and prints one table. docs/performance.md tells what each figure is.
#
#   tests/bench.sh [OPTION…]                 the full form: an hour or more, 15 GB of disk
#   CHATFOLD_BENCH=smoke tests/bench.sh      everything once, in about a minute; fails where something does not run or a
#                                            delivery is not answered 200. The build is that of the tests, not optimized
#
# CHATFOLD_BENCH_DIR names a folder on the disk to measure (target); CHATFOLD_PEERS=required fails where a peer is missing.
# Options go to the benchmark, and win over its form: --old BINARY, --binary BINARY, --rounds N, --seconds N, --lines N,
# --messages N, --people N, --connections N,N, --parts loads,bare,beside,files.
set -euo pipefail
cd "$(dirname "$0")/.."

form="${CHATFOLD_BENCH:-full}"
peer=benches/peers/express
skipped=""

# install_express: the packages of the peer. better-sqlite3 is compiled: its ready-made binaries are not in the registry.
# What node-gyp needs for that is taken from this machine, for it would ask nodejs.org.
install_express() {
    local tool headers
    for tool in node npm python3 make g++; do
        command -v "$tool" >/dev/null || {
            skipped="there is no $tool"
            return
        }
    done
    headers="$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")"
    if [[ ! -f $headers/include/node/node.h ]]; then
        skipped="there are no headers of node in $headers/include/node (Debian: apt-get install libnode-dev)"
        return
    fi
    local installed="$peer/node_modules/.installed"
    local wanted
    wanted="$(node --version) $(sha256sum <"$peer/package-lock.json")"
    [[ "$(cat "$installed" 2>/dev/null)" == "$wanted" ]] && return
    printf '== packages of the Express receiver\n'
    if npm_config_build_from_source=true npm_config_nodedir="$headers" npm_config_jobs=max \
        npm ci --prefix "$peer" --no-audit --no-fund &&
        [[ -f $peer/node_modules/better-sqlite3/build/Release/better_sqlite3.node ]]; then
        printf '%s\n' "$wanted" >"$installed"
    else
        skipped="npm ci --prefix $peer failed, or did not compile better-sqlite3"
    fi
}

options=(--form "$form")
install_express
if [[ -z $skipped ]]; then
    options+=(--express "$peer")
elif [[ ${CHATFOLD_PEERS:-} == required ]]; then
    printf '!! the Express receiver cannot run: %s\n' "$skipped" >&2
    exit 1
else
    printf '!! SKIPPED: the Express receiver: %s\n' "$skipped"
fi

# The smoke form measures nothing: it takes the build that the tests have made.
profile=bench
[[ $form == smoke ]] && profile=dev
printf '== %s form, on %s cores: %s\n' "$form" "$(nproc)" \
    "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -1)"
cargo bench --locked --profile "$profile" --bench deliveries -- "${options[@]}" "$@"
[[ -z $skipped ]] || printf '\n!! SKIPPED: the Express receiver: %s\n' "$skipped"
