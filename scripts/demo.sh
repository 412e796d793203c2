#!/usr/bin/env bash
# Routes a capture from port to port, then forwards the same traffic on DPDK's virtual devices.
#
# Needs no network card, no huge pages and no root. `--seconds N` sets how long DPDK runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=5
if [[ ${1:-} == --seconds && -n ${2:-} ]]; then
    seconds=$2
elif [[ $# -gt 0 ]]; then
    echo "usage: scripts/demo.sh [--seconds N]" >&2
    exit 2
fi

target=${CARGO_TARGET_DIR:-target}
work=$target/demo
capture=$work/traffic.pcap
l3fwd=$target/release/examples/l3fwd
configs=examples/configs

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

say "Building l3fwd"
run cargo build --release --features dpdk --example l3fwd
mkdir -p "$work"

say "1. A capture of 4096 packets, IPv4 and IPv6, from the generator"
"$l3fwd" --config "$configs/demo-generate.toml" \
    --port "synth:size=64,flows=1024,count=4096,dst=$configs/demo-destinations.txt" \
    --port "pcap:tx=$capture" >"$work/generate.txt"
ls -l "$capture"

say "2. The capture through the router, in the capture's own time"
run "$l3fwd" --config "$configs/demo.toml" \
    --port "pcap:rx=$capture" --port "pcap:tx=$work/routed.pcap" \
    --stats-json "$work/capture.json"
ls -l "$work/routed.pcap"

say "3. The same traffic for $seconds s on DPDK's virtual devices, one core"
# Each device replays the capture for ever and discards what it is given to send.
run "$l3fwd" --config "$configs/demo.toml" \
    --port dpdk:net_pcap0 --port dpdk:net_pcap1 \
    --seconds "$seconds" --stats-json "$work/dpdk.json" \
    -- --no-huge --no-pci -m 512 --file-prefix=qfp-demo --log-level=lib.eal:error --no-telemetry \
    --vdev "net_pcap0,rx_pcap=$capture,infinite_rx=1" \
    --vdev "net_pcap1,rx_pcap=$capture,infinite_rx=1"

say "Done. What was counted is in $work/capture.json and $work/dpdk.json."
