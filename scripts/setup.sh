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

have_libclang() {
    local found=("${LIBCLANG_PATH:-/nonexistent}"/libclang*.so* /usr/lib/llvm-*/lib/libclang*.so* \
        /usr/lib*/libclang*.so* /usr/lib/*-linux-gnu/libclang*.so*)
    local file
    for file in "${found[@]}"; do
        [[ -e $file ]] && return 0
    done
    return 1
}

have_dpdk() { have pkg-config && pkg-config --exists 'libdpdk >= 22.11'; }

# What it is for, how to tell that it is there, Debian's package.
# Required: without these the build stops.
required=(
    'C compiler|have cc|build-essential'
    'make|have make|build-essential'
    'pkg-config|have pkg-config|pkg-config'
    'DPDK 22.11 or newer with its headers|have_dpdk|libdpdk-dev'
    'libclang|have_libclang|libclang-dev'
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

system_packages() {
    look_for "${required[@]}" "${wanted[@]}"
    [[ ${#missing_names[@]} == 0 ]] && return
    say "missing: $(list "${missing_names[@]}")"
    local packages
    mapfile -t packages < <(printf '%s\n' "${missing_packages[@]}" | sort -u)
    if have apt-get; then
        install_packages "${packages[@]}" || say "apt did not install them"
    else
        say "no apt here; on Debian the packages are $(list "${packages[@]}")"
        say "on Fedora: gcc make pkgconf dpdk-devel dpdk clang-devel iproute iputils traceroute iperf3"
    fi
    look_for "${required[@]}"
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
