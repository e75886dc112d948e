# What the scripts of the peers share. Each answers to four words:
#   peer install    installs what its lock file names, or says what the machine lacks and how to get it (exit code 1)
#   peer versions   prints one line
#   peer serve      takes deliveries: listens on a free port of loopback, and says on which
#   peer read       answers reads, in the same way
# shellcheck shell=bash
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)"

# lack WHAT HOW: the machine lacks something.
lack() {
    printf 'there is no %s (%s)\n' "$1" "$2"
    exit 1
}

need() {
    command -v "$1" >/dev/null || lack "$1" "Debian: apt-get install $2"
}

# installed WANTED: whether exactly that was installed before.
installed() {
    [[ "$(cat "$here/.installed" 2>/dev/null)" == "$1" ]]
}

# Packages of npm's, by the lock file.
install_node() {
    need node nodejs
    need npm npm
    local wanted
    wanted="$(node --version) $(sha256sum <"$here/package-lock.json")"
    installed "$wanted" && return
    npm ci --prefix "$here" --no-audit --no-fund >&2 || lack "way to install packages" "npm ci --prefix $here failed"
    printf '%s\n' "$wanted" >"$here/.installed"
}

# node_versions PACKAGE…
node_versions() {
    local package
    printf 'node %s' "$(node --version)"
    for package in "$@"; do
        printf ', %s %s' "$package" "$(cd "$here" && node -p "require('./node_modules/$package/package.json').version")"
    done
    printf '\n'
}
