# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The second and third layer of scripts/setup: a Rust toolchain and bindgen.
# Sourced, not run.
#
# The kernel calls rustc and bindgen by path, outside this repository, where no
# rust-toolchain.toml is read: so what is found here is always an absolute path.

# toml KEY: the value of a key of rust-toolchain.toml, lists as a,b,c.
toml() { sed -n "s/^$1 *= *//p" "$root/rust-toolchain.toml" | tr -d '[]" '; }

channel=${RUSTUP_TOOLCHAIN:-$(toml channel)}
components=$(toml components)
targets=$(toml targets)
rust_bin= # the folder with rustc, cargo, rustfmt and cargo-clippy
rust_why= # what is wrong with the best one found
rust_src=
bindgen=

# try_rust FOLDER: is a whole and new enough toolchain there?
try_rust() {
    local version program sysroot
    [ -x "$1/rustc" ] || return 1
    version=$(version_of "$1/rustc")
    if ! at_least "$version" $RUST_MIN; then
        rust_why=${rust_why:-"$1/rustc is ${version:-broken}, older than $RUST_MIN"}
        return 1
    fi
    sysroot=$("$1/rustc" --print sysroot)
    for program in cargo rustfmt cargo-clippy; do
        [ -x "$1/$program" ] && continue
        rust_why=${rust_why:-"rustc $version has no $program beside it"}
        return 1
    done
    for rust_src in "$sysroot/lib/rustlib/src/rust/library" "/usr/src/rustc-$version/library"; do
        [ -f "$rust_src/core/src/lib.rs" ] && rust_bin=$1 && rust_version=$version && return 0
    done
    rust_why=${rust_why:-"rustc $version has no rust-src: the kernel compiles core from it"}
    return 1
}

has_musl() { [ -d "$("$rust_bin/rustc" --print sysroot)/lib/rustlib/x86_64-unknown-linux-musl/lib" ]; }

# With rustup, the toolchain of rust-toolchain.toml, whole or not at all. Asks
# nothing that would make rustup install it on its own.
find_rustup_rust() {
    local rustc part
    rustup toolchain list 2>/dev/null | grep -q "^$channel\b" || {
        rust_why="rustup has no toolchain $channel"
        return 1
    }
    rustc=$(rustup which --toolchain "$channel" rustc) || return 1
    try_rust "${rustc%/rustc}" || return 1
    # A toolchain of the user's own choice need not have what only releases need.
    [ -n "${RUSTUP_TOOLCHAIN:-}" ] || has_musl || {
        rust_bin=
        rust_why="rustup's $channel lacks the target $targets"
        return 1
    }
}

find_rust() {
    local dir
    rust_bin='' rust_why=''
    if command -v rustup >/dev/null; then
        find_rustup_rust
        return
    fi
    dir=$(command -v rustc || true)
    # Ubuntu keeps its newer compilers beside each other in /usr/lib/rust-1.NN.
    for dir in ${dir:+"$(dirname "$dir")"} /usr/bin $(printf '%s\n' /usr/lib/rust-*/bin | sort -Vr); do
        try_rust "$dir" && return 0
    done
    rust_why=${rust_why:-"no rustc"}
    return 1
}

# plan_rust: the distribution's Rust, where the user has no rustup.
plan_rust() {
    local v
    command -v rustup >/dev/null && return
    if at_least "$(candidate rustc)" $RUST_MIN; then
        want+=(rustc cargo rust-src rustfmt rust-clippy)
        return
    fi
    # Debian keeps these new for its browsers, in every stable release.
    if at_least "$(candidate rustc-web)" $RUST_MIN; then
        want+=(rustc-web cargo-web rust-web-src rustfmt-web rust-web-clippy)
        return
    fi
    # Ubuntu has several side by side.
    for v in $(apt-cache pkgnames rustc-1. | sed -n 's/^rustc-\(1\.[0-9]*\)$/\1/p' | sort -Vr); do
        at_least "$(candidate "rustc-$v")" $RUST_MIN || continue
        want+=("rustc-$v" "cargo-$v" "rust-$v-src" "rustfmt-$v" "rust-$v-clippy")
        return
    done
    return 1
}

install_rust() {
    command -v rustup >/dev/null || fail 6 "$rust_why, and $pretty has no Rust $RUST_MIN or newer to install" \
        "Install rustup and run this again: it will then fetch Rust $channel."
    open_log
    say "rustup: installing $channel with $components and the target $targets"
    rustup toolchain install "$channel" --no-self-update --profile minimal \
        --component "$components" --target "$targets" >>"$log" 2>&1 9>&- && find_rust && return
    check_space "$HOME"
    fail 6 "$rust_why, and rustup could not install it: $(last_error)" \
        "With a network: rustup toolchain install $channel -c $components -t $targets" \
        "Another toolchain that rustup has (at least $RUST_MIN, with rust-src): RUSTUP_TOOLCHAIN=NAME" \
        "Without rustup in PATH, the distribution's Rust is used."
}

# plan_bindgen: take the distribution's where it is new enough.
plan_bindgen() {
    if at_least "$(candidate bindgen)" $BINDGEN_MIN; then want+=(bindgen); fi
}

find_bindgen() {
    local b
    for b in "$tools/bindgen-$BINDGEN_NEW/bin/bindgen" "$(command -v bindgen || true)"; do
        [ -x "$b" ] && at_least "$(version_of "$b")" $BINDGEN_MIN && bindgen=$b && return 0
    done
    return 1
}

install_bindgen() {
    local new
    open_log
    say "building bindgen $BINDGEN_NEW with cargo: about two minutes"
    new=$(mktemp -d "$tools/.new.XXXXXX")
    # A folder of its own, renamed when whole: an interrupted build leaves nothing.
    if (cd / && PATH=$rust_bin:$PATH CARGO_TARGET_DIR=$new/target "$rust_bin/cargo" install --locked \
        --root "$new/root" --version $BINDGEN_NEW bindgen-cli) >>"$log" 2>&1 9>&-; then
        rm -rf "$tools/bindgen-$BINDGEN_NEW"
        mv "$new/root" "$tools/bindgen-$BINDGEN_NEW"
    fi
    rm -rf "$new"
    find_bindgen && return
    check_space "$tools"
    offline && fail 7 "bindgen $BINDGEN_NEW could not be downloaded" "$(last_error)" \
        "Check the network, or put a bindgen of at least $BINDGEN_MIN into PATH."
    fail 7 "bindgen $BINDGEN_NEW could not be built: $(last_error)" \
        "The whole of it is in $log. Any bindgen of at least $BINDGEN_MIN in PATH will do."
}
