# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The first layer of scripts/setup: Debian packages, and what is said when they
# cannot be had. Sourced, not run.

# --- what goes wrong while something is being installed ---------------------

open_log() {
    [ -z "$log" ] || return 0
    mkdir -p "$tools" 2>/dev/null && : >"$cache/setup.log" 2>/dev/null ||
        fail 8 "the cache folder $cache cannot be written" \
            "Make it writable, free some space, or name another with XDG_CACHE_HOME."
    log=$cache/setup.log
    # Two set-ups at once would build bindgen twice and fight over apt's lock.
    exec 9>"$cache/setup.lock"
    flock -n 9 || { say "another set-up is running; waiting for it" && flock 9; }
    rm -rf "$tools"/.new.*
}

# check_space FOLDER: turn the logged failure into the clearer one, if it is that.
check_space() {
    grep -qE 'No space left on device|enough free space|ENOSPC|os error 28' "$log" || return 0
    fail 8 "no space left while installing (see $log)" \
        "$(df -h "$1" | awk 'NR==2 {print $6 " has " $4 " free of " $2}'); free about 4 GB and run this again."
}

no_network='Could not resolve|Temporary failure resolving|Could not connect|Connection (timed out|refused)|Network is unreachable|error sending request|failed to download|Could not handshake|spurious network error'

offline() { grep -qE "$no_network" "$log"; }

# last_error: the line of the log that says most.
last_error() {
    { grep -E "$no_network" "$log" || grep -E '^\s*(E:|error)' "$log" || tail -n 1 "$log"; } |
        head -n 1 | sed 's/^ *//'
}

# --- Debian packages --------------------------------------------------------

missing_packages() {
    dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^ii //p' | sort >"$tmp/have"
    printf '%s\n' "$@" | sort | comm -23 - "$tmp/have" | tr '\n' ' '
}

# candidate PACKAGE: the version apt would install, without epoch; empty if none.
candidate() {
    LC_ALL=C apt-cache policy "$1" 2>/dev/null |
        sed -n 's/^  Candidate: \(.*:\)\?//p' | grep -v '^(none)$' || true
}

# as_root NAME=VALUE... COMMAND...
as_root() {
    if [ "$(id -u)" = 0 ]; then
        env "$@"
    elif [ -t 0 ]; then
        sudo env "$@"
    else
        sudo -n env "$@"
    fi
}

need_root() {
    [ "$(id -u)" = 0 ] && return 0
    if ! command -v sudo >/dev/null || ! { [ -t 0 ] && sudo -v || sudo -n true 2>/dev/null; }; then
        fail 4 "packages are missing, and this user is neither root nor may use sudo" \
            "As root, then again as this user:" \
            "apt-get update && apt-get install --no-install-recommends $*"
    fi
}

updated=
apt_update() {
    [ -z "$updated" ] || return 0
    updated=yes
    open_log
    say "asking apt for its lists"
    as_root LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 || true
    check_space /var/cache/apt/archives
}

# apt_install PACKAGE...: the missing ones among them, on one line of progress.
apt_install() {
    local want try p
    want=$(missing_packages "$@")
    [ -n "$want" ] || return 0
    need_root "$want"
    open_log
    for p in $want; do [ -n "$(candidate "$p")" ] || apt_update; done
    for p in $want; do
        [ -n "$(candidate "$p")" ] && continue
        offline && fail 5 "package $p is missing and the package archive cannot be reached" \
            "$(last_error)" "Check the network or apt's proxy settings, then run this again."
        fail 5 "package $p is not in this machine's package sources ($pretty)" \
            "Debian 12 and 13 have it in component main; on Ubuntu enable universe."
    done
    for try in first second; do
        say "installing packages: $want"
        # --no-remove: never trade a package of the user's for one of ours.
        # shellcheck disable=SC2086
        if as_root LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
            -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 --no-remove --no-install-recommends \
            install $want 2>&1 </dev/null | tee -a "$log" | apt_progress &&
            [ -z "$(missing_packages $want)" ]; then
            return 0
        fi
        check_space /var/cache/apt/archives
        # Old lists name files that are gone from the archive.
        [ $try = first ] && [ -z "$updated" ] || break
        apt_update
    done
    if grep -q 'Packages need to be removed' "$log"; then
        fail 5 "installing $want would remove packages that are installed" \
            "$(sed -n '/will be REMOVED/{n;p;q}' "$log") are in the way; remove them, or install rustup if they are Rust's."
    fi
    offline && fail 5 "the package archive cannot be reached" "$(last_error)"
    fail 5 "apt could not install $want" "$(last_error)" "The whole of it is in $log."
}

apt_progress() {
    [ -t 2 ] || { cat >/dev/null; return; }
    awk '/newly installed/ {all = $3 + $1}
         /^(Get:|Unpacking|Setting up)/ {
             n[$1 ~ /^Get/ ? "Get" : $1]++
             printf "\rsetup: %d fetched, %d unpacked, %d of %d set up ", n["Get"], n["Unpacking"], n["Setting"], all
         }
         END {print ""}' >&2
}
