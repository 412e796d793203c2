#!/usr/bin/env bash
# Installs what building, testing and the demo need and this machine lacks.
#
# Does nothing, and asks the network nothing, when all is there. Needs apt (Debian, Ubuntu) to
# install; elsewhere it says what is missing. Huge pages are not needed and not touched.
#
# `scripts/setup.sh interop`: also what the tests against other implementations of IPsec talk to.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }

# Where trial programs go.
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT

# A compiler that finds its own headers and libraries, and makes what runs.
compiles() {
    have cc || return 1
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' >"$trial/empty.c"
    cc -o "$trial/empty" "$trial/empty.c" >/dev/null 2>&1 && "$trial/empty" >/dev/null 2>&1
}

# GNU make: no other reads our Makefile.
makes() {
    have make && [[ $(make --version 2>/dev/null) == 'GNU Make'* ]] &&
        printf 'all:;@:\n' | make -s -f - all >/dev/null 2>&1
}

configures() { have pkg-config && pkg-config --version >/dev/null 2>&1; }

# DPDK's headers as dpdk-sys/build.rs compiles them, and its libraries as they are linked.
have_dpdk() {
    configures && pkg-config --exists 'libdpdk >= 22.11' && have cc || return 1
    local cflags libs
    read -ra cflags < <(pkg-config --cflags libdpdk 2>/dev/null)
    read -ra libs < <(pkg-config --libs libdpdk 2>/dev/null)
    printf '#include <rte_version.h>\nint main(void) { return !rte_version(); }\n' >"$trial/dpdk.c"
    cc -w -fsyntax-only "${cflags[@]}" dpdk-sys/shim.c >/dev/null 2>&1 &&
        cc -w "${cflags[@]}" -o "$trial/dpdk" "$trial/dpdk.c" "${libs[@]}" >/dev/null 2>&1
}

# The library that bindgen would load, chosen as its crate clang-sys does: the highest version of all
# that bear one of four names in its folders. Clang's C++ library, libclang-cpp.so, is another thing.
libclang() {
    local folders file name version best='' best_version=''
    if [[ -n ${LIBCLANG_PATH-} ]]; then
        [[ -f $LIBCLANG_PATH ]] && { printf '%s\n' "$LIBCLANG_PATH"; return; }
        folders=("$LIBCLANG_PATH")
    else
        local config=${LLVM_CONFIG_PATH:-llvm-config} prefix path
        prefix=$("$config" --prefix 2>/dev/null) || prefix=/nonexistent
        IFS=: read -ra path <<<"${LD_LIBRARY_PATH-}"
        folders=("$prefix/bin" "$prefix/lib" "$prefix/lib64" "${path[@]}" \
            /usr/local/llvm*/lib /usr/local/lib*/*/* /usr/local/lib*/* /usr/local/lib* \
            /usr/lib*/*/* /usr/lib*/* /usr/lib*)
    fi
    local folder
    for folder in "${folders[@]}"; do
        for file in "$folder"/libclang.so "$folder"/libclang-*.so "$folder"/libclang.so.* "$folder"/libclang-*.so.*; do
            name=${file##*/}
            [[ -f $file && $name != *-cpp.* ]] || continue
            # ELF, 64 bits.
            [[ $(head -c 5 "$file" | od -An -tx1 | tr -d ' ') == 7f454c4602 ]] || continue
            version=${name#libclang}
            version=${version#-}
            version=${version#.so}
            version=${version#.}
            version=${version%%.so*}
            if [[ -z $best || $(printf '%s\n' "$version" "$best_version" | sort -V | tail -n 1) == "$version" ]]; then
                best=$file
                best_version=$version
            fi
        done
    done
    [[ -n $best ]] && printf '%s\n' "$best"
}

# The folders of headers that bindgen takes from the program clang, where there is one.
clang_folders() {
    local clang=${CLANG_PATH:-clang}
    have "$clang" || return 0
    "$clang" -E -x c -v /dev/null 2>&1 >/dev/null | sed -n '/^#include </,/^End of/s/^ \(\/.*\)/-isystem\1/p'
}

# That library exists, can be loaded and reads DPDK's headers, with those of its own that it needs.
# Without a compiler or DPDK nobody can tell; then it must do to be there.
have_libclang() {
    local library cflags folders extra
    library=$(libclang) || return 1
    compiles && configures && pkg-config --exists libdpdk || return 0
    read -ra cflags < <(pkg-config --cflags libdpdk 2>/dev/null)
    read -ra extra <<<"${BINDGEN_EXTRA_CLANG_ARGS-}"
    mapfile -t folders < <(clang_folders)
    cc -o "$trial/reads" scripts/libclang.c -ldl >/dev/null 2>&1 &&
        "$trial/reads" "$library" dpdk-sys/shim.h "${folders[@]}" "${cflags[@]}" "${extra[@]}" >/dev/null 2>&1
}

# What it is for, how to tell that it is there, Debian's package.
# Required: without these the build stops.
required=(
    'C compiler that makes programs|compiles|build-essential'
    'GNU make|makes|build-essential'
    'pkg-config|configures|pkg-config'
    'DPDK 22.11 or newer with its headers|have_dpdk|libdpdk-dev'
    'libclang with its headers|have_libclang|libclang-dev'
)
# Wanted: without these some tests are skipped.
wanted=(
    'DPDK tools|have dpdk-devbind.py|dpdk'
    'ip|have ip|iproute2'
    'ping|have ping|iputils-ping'
    'traceroute|have traceroute|traceroute'
    'iperf3|have iperf3|iperf3'
)

# Wanted by tests/interop.
strangers=(
    'User Mode Linux|have linux.uml|user-mode-linux'
    'busybox|test -e /bin/busybox|busybox-static'
    'scapy|python_has scapy.layers.ipsec|python3-scapy'
    'cryptography for Python|python_has cryptography|python3-cryptography'
    'strongSwan|test -e /usr/lib/ipsec/charon|strongswan-charon'
    'swanctl|have swanctl|strongswan-swanctl'
    'ESP of strongSwan|has_plugin kernel-libipsec|libcharon-extra-plugins'
    'ciphers of strongSwan|has_plugin openssl|libstrongswan-standard-plugins'
    'tcpdump|have tcpdump|tcpdump'
    'kill|test -e /usr/bin/kill|procps'
)
case ${1-} in
    '') ;;
    interop) wanted+=("${strangers[@]}") ;;
    *) die "usage: scripts/setup.sh [interop]" ;;
esac

python_has() { /usr/bin/python3 -c "import $1" 2>/dev/null; }

has_plugin() { test -e "/usr/lib/ipsec/plugins/libstrongswan-$1.so"; }

missing_names=()
missing_packages=()
look_for() {
    missing_names=()
    missing_packages=()
    local row name check package
    for row in "$@"; do
        IFS='|' read -r name check package <<<"$row"
        # shellcheck disable=SC2086  # the check is a command with an argument
        if ! $check; then
            missing_names+=("$name")
            missing_packages+=("$package")
        fi
    done
}

# Tools of root's directories (ip) count even where users do not have them on their path.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

list() {
    local IFS=,
    local text="$*"
    printf '%s' "${text//,/, }"
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif have sudo; then
        say "sudo $*"
        sudo "$@"
    else
        return 1
    fi
}

install_packages() {
    say "installing $(list "$@") with apt"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq --yes --no-install-recommends "$@"
}

# Some things can be tried only when others are there (libclang with DPDK's headers): hence twice.
system_packages() {
    local round packages
    for round in 1 2; do
        if [[ $round == 1 ]]; then
            look_for "${required[@]}" "${wanted[@]}"
        else
            look_for "${required[@]}"
        fi
        [[ ${#missing_names[@]} == 0 ]] && return
        say "missing: $(list "${missing_names[@]}")"
        mapfile -t packages < <(printf '%s\n' "${missing_packages[@]}" | sort -u)
        if have apt-get; then
            install_packages "${packages[@]}" || say "apt did not install them"
        else
            say "no apt here; on Debian the packages are $(list "${packages[@]}")"
            say "on Fedora: gcc make pkgconf dpdk-devel dpdk clang-devel iproute iputils traceroute iperf3"
            break
        fi
    done
    look_for "${required[@]}"
    [[ -z ${LIBCLANG_PATH-} || " ${missing_names[*]-} " != *libclang* ]] ||
        say "LIBCLANG_PATH is set to $LIBCLANG_PATH: nothing else is looked at"
    [[ ${#missing_names[@]} == 0 ]] || die "install these and try again: $(list "${missing_names[@]}")"
    look_for "${wanted[@]}"
    [[ ${#missing_names[@]} == 0 ]] || say "tests that need these will be skipped: $(list "${missing_names[@]}")"
}

rust() {
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    if ! have cargo; then
        have curl || { have apt-get && install_packages curl ca-certificates; } ||
            die "install curl, or Rust by hand: https://rustup.rs"
        say "installing Rust with rustup's installer"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -y --profile minimal --component clippy,rustfmt
    fi
    local need have_version
    need=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    have_version=$(rustc --version | cut -d ' ' -f 2)
    [[ $(printf '%s\n' "$need" "$have_version" | sort -V | head -n 1) == "$need" ]] ||
        die "Rust $need or newer is needed, this is $have_version: rustup update stable"
}

system_packages
rust
say "all there: $(rustc --version | cut -d ' ' -f 1,2), DPDK $(pkg-config --modversion libdpdk)"
