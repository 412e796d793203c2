#!/usr/bin/env python3
"""Forwarding rate of l3fwd against testpmd's io mode, in turn, on the same two virtual devices.

  scripts/forwarding-ratio.py [--rounds 5] [--seconds 1.0] [--l3fwd target/release/examples/l3fwd]

Both read one capture of 4096 UDP frames of 60 bytes to two /24s, again and again, through two
net_pcap devices with infinite_rx; testpmd moves the packets, l3fwd routes each of them. Rates come
from DPDK's telemetry and are packets sent for each second of CPU that the busiest thread had.
Needs the packages dpdk-dev (testpmd) and python3, root, and 2 MB huge pages with a hugetlbfs
mounted; --no-huge does without, at half the speed.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

CONFIG = """
[[port]]
device = "dpdk:net_pcap0"
address = ["192.0.2.1/24"]
[[port]]
device = "dpdk:net_pcap1"
address = ["198.51.100.1/24"]
[[route]]
prefix = "198.18.0.0/24"
via = "192.0.2.2"
[[route]]
prefix = "198.18.1.0/24"
via = "198.51.100.2"
[[neighbor]]
address = "192.0.2.2"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "198.51.100.2"
mac = "02:00:00:00:00:03"
"""


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def make_capture(path):
    rng = random.Random(7)
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for n in range(4096):
            src, host = rng.randrange(0x0A000001, 0x0AFFFFFE), rng.randrange(1, 255)
            dst = 0xC6120000 | (n % 2) << 8 | host
            fields = [0x45, 0, 46, n, 0, 64, 17, 0, src, dst]
            header = struct.pack("!BBHHHBBHII", *fields)
            fields[7] = checksum(header)
            header = struct.pack("!BBHHHBBHII", *fields)
            udp = struct.pack("!HHHH", 1024 + n, 53, 26, 0)
            frame = bytes.fromhex("0200000000010200000000020800") + header + udp + bytes(18)
            out.write(struct.pack("<IIII", 0, n, len(frame), len(frame)) + frame)


class Telemetry:
    def __init__(self, prefix):
        path = f"/var/run/dpdk/{prefix}/dpdk_telemetry.v2"
        for _ in range(150):
            time.sleep(0.1)
            if os.path.exists(path):
                break
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.socket.recv(65536)

    def ask(self, what):
        self.socket.send(what.encode())
        return json.loads(self.socket.recv(65536))[what.split(",")[0]]

    def sent(self):
        return sum(self.ask(f"/ethdev/stats,{port}")["opackets"] for port in self.ask("/ethdev/list"))


def cpu_seconds(pid):
    seconds = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        seconds[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return seconds


def rate(command, prefix, seconds):
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        telemetry = Telemetry(prefix)
        time.sleep(1.5)
        packets, cpu = telemetry.sent(), cpu_seconds(process.pid)
        time.sleep(seconds)
        packets, after = telemetry.sent() - packets, cpu_seconds(process.pid)
        return packets / max(after[task] - cpu.get(task, 0) for task in after) / 1e6
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--l3fwd", default="target/release/examples/l3fwd")
    parser.add_argument("--no-huge", action="store_true")
    args = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        capture, config = f"{folder}/frames.pcap", f"{folder}/ratio.toml"
        make_capture(capture)
        pathlib.Path(config).write_text(CONFIG)
        memory = ["--no-huge"] if args.no_huge else ["--huge-unlink=always"]
        for n in range(args.rounds):
            pair = []
            for program in ("io", "l3fwd"):
                prefix = f"qfp-{program}-{os.getpid()}-{n}"
                eal = ["--no-pci", f"--file-prefix={prefix}", "-m", "512", *memory]
                for port in (0, 1):
                    eal += ["--vdev", f"net_pcap{port},rx_pcap={capture},infinite_rx=1"]
                if program == "io":
                    command = ["dpdk-testpmd", "--lcores", "0@0,1@0", *eal, "--"]
                    command += ["--forward-mode=io", "--auto-start", "--stats-period", "1000"]
                    command += ["--total-num-mbufs=16384"]
                else:
                    command = [args.l3fwd, "--config", config, "--", *eal]
                pair.append(rate(command, prefix, args.seconds))
            ratios.append(pair[1] / pair[0])
            print(f"io {pair[0]:.1f}, l3fwd {pair[1]:.1f} Mpps per CPU second: {ratios[-1]:.3f}", flush=True)
    print(f"ratio: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")


main()
