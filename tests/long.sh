#!/usr/bin/env bash
# The long form of the tests that kill, starve and confuse the server: about an hour, half of it the soak. The suite runs the short form
# of each. CHATFOLD_* set beforehand win: `CHATFOLD_KILLS=1000 tests/long.sh`. Arguments name the steps to run.
set -euo pipefail
cd "$(dirname "$0")/.."

export CHATFOLD_KILLS="${CHATFOLD_KILLS:-200}"
export CHATFOLD_REBUILD_KILLS="${CHATFOLD_REBUILD_KILLS:-50}"
export CHATFOLD_LARGE_KILLS="${CHATFOLD_LARGE_KILLS:-100}"
export CHATFOLD_FAULTS="${CHATFOLD_FAULTS:-100000}"
export CHATFOLD_CLUSTER_FAULTS="${CHATFOLD_CLUSTER_FAULTS:-100}"
export CHATFOLD_ANSWERS="${CHATFOLD_ANSWERS:-10000}"
export CHATFOLD_FUZZ_SECONDS="${CHATFOLD_FUZZ_SECONDS:-300}"
export CHATFOLD_CASES="${CHATFOLD_CASES:-10000}"
export CHATFOLD_SOAK_SECONDS="${CHATFOLD_SOAK_SECONDS:-1800}"
export CHATFOLD_ORDERS="${CHATFOLD_ORDERS:-10}"

steps=("$@")
summary=()
failed=0
log="$(mktemp)"
trap 'rm -f "$log"' EXIT

skip() {
    printf '\n!! SKIPPED: %s: %s\n' "$1" "$2"
    summary+=("skipped  $1: $2")
}

# step NAME TEST...: the tests of these files, in release.
step() {
    local name="$1" begun=$SECONDS files=() result=passed
    shift
    if ((${#steps[@]})) && [[ " ${steps[*]} " != *" $name "* ]]; then
        summary+=("skipped  $name: not asked for")
        return
    fi
    for file in "$@"; do
        if [[ $file == lib ]]; then
            files+=(--lib)
        elif [[ -f tests/$file.rs ]]; then
            files+=(--test "$file")
        else
            skip "$name" "there is no tests/$file.rs"
        fi
    done
    ((${#files[@]})) || return 0
    printf '\n== %s\n' "$name"
    if ! cargo test --release --locked --no-fail-fast "${files[@]}" -- --nocapture 2>&1 | tee "$log"; then
        result=FAILED
        failed=1
    fi
    summary+=("$result   $name in $((SECONDS - begun)) s")
    while IFS= read -r line; do
        summary+=("         $line")
    done < <(grep -E '^SKIPPED|none lost|faults: |none before its sync|: [0-9]+ inputs, seed' "$log" | sort -u || true)
}

command -v cc >/dev/null || skip "failing writes and syncs" "no C compiler, cc"
command -v prlimit >/dev/null || skip "a limit on the size of files" "no prlimit (util-linux)"
unshare -Urm true 2>/dev/null || skip "small and read-only file systems" "unshare -Urm is not allowed here"
[[ "$(uname)" == Linux ]] || skip "tests/disk.rs, tests/faulty.rs" "they need Linux"

cargo build --release --locked
step kills crash large_events
step faults faulty
step disk disk beside trouble
step cluster nodes cluster
CHATFOLD_CLUSTER_OUTBOX=0 step cluster cluster
step hostile hostile wire http intake clock
step fuzz fuzz lib
# There are some thirty kinds of fault, and each of the ten tests goes through its own.
CHATFOLD_CASES="${CHATFOLD_TRUTH_CASES:-1000}" step truth truth
step order order
step soak soak
CHATFOLD_BACKFILL_GROUPS=1000 CHATFOLD_BACKFILL_MEMBERS=2000 CHATFOLD_BACKFILL_MESSAGES=200000 step backfill backfill backfill_beside
CHATFOLD_LIST_MEMBERS=100000 step lists large_lists
CHATFOLD_OUTAGE_CHANGES=500 CHATFOLD_SHOWN_CONVERSATIONS=500 CHATFOLD_CONFIRMED_GROUPS=100 CHATFOLD_CONFIRMATIONS=500 \
    step reconcile reconcile shown confirming
if ((${#steps[@]})) && [[ " ${steps[*]} " != *" strangers "* ]]; then
    summary+=("skipped  strangers: not asked for")
elif tests/strangers.sh 2>&1 | tee "$log"; then
    summary+=("passed   strangers")
else
    summary+=("FAILED   strangers")
    failed=1
fi
[[ -s $log ]] && while IFS= read -r line; do
    summary+=("         $line")
done < <(grep -E '^(ok  |FAIL) ' "$log" || true)

printf '\n== summary, %s s\n' "$SECONDS"
printf '%s\n' "${summary[@]}"
exit "$failed"
