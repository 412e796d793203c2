#!/usr/bin/env python3
"""Compares two builds of the walk bench, or of l3fwd, pair by pair in one run.

usage: compare-builds.py walk OLD NEW CASE... [--pairs N]
       compare-builds.py l3fwd OLD NEW [ARG...] [--pairs N]
       compare-builds.py apart L3FWD FOLDER [--pairs N]

The builds take turns, and who is first changes with each pair, so that what else the machine does
meets both alike. Prints the median of new over old in rate (above 1: the new one is faster) and its
95 % interval by the bootstrap. `l3fwd` reads the rate of a run with ARG...; without, one lcore
routes 64-byte packets from a generator to a sink. `apart` compares the latter with qfp-client and
qfp-ucode of FOLDER, client and data plane in processes of their own.
"""

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

CONFIG = """
[[port]]
device = "synth:size=64,flows=4096,count=200000000"
address = ["192.0.2.1/24"]
[[port]]
device = "sink"
address = ["198.51.100.1/24"]
[[route]]
prefix = "198.18.0.0/15"
via = "198.51.100.2"
[[neighbor]]
address = "198.51.100.2"
mac = "02:00:00:00:00:02"
"""


def walk(binary, case):
    """Packets per thousand cycles."""
    command = [binary, "--bench", f"{case}$"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^{re.escape(case)}\s+time:\s+\[\S+ \S+ ([\d.]+)", out, re.MULTILINE)
    if not found:
        sys.exit(f"{binary} has no case {case}")
    return 1000 / float(found.group(1))


def l3fwd(binary, arguments):
    """Million packets a second."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as stats:
        command = [binary, *arguments, "--stats-json", stats.name]
        subprocess.run(command, capture_output=True, check=True)
        with open(stats.name, encoding="utf-8") as report:
            return json.load(report)["mpps"]


def apart(folder, config):
    """Million packets a second of qfp-client with qfp-ucode, once both run."""
    with tempfile.TemporaryDirectory() as run:
        program = [os.path.join(folder, "qfp-client"), "--config", config, "--run-dir", run]
        program += ["--ucode", os.path.join(folder, "qfp-ucode")]
        ask = [os.path.join(folder, "qfpctl"), "--run-dir", run, "--json", "show", "statistics"]
        with subprocess.Popen(program, stderr=subprocess.DEVNULL) as client:
            try:
                counts = []
                while len(counts) < 2:
                    time.sleep(1 if not counts else 3)
                    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
                    if answer.returncode == 0:
                        report = json.loads(answer.stdout)
                        counts.append((report["mpps"] * report["elapsed_s"], report["elapsed_s"]))
                    elif client.poll() is not None:
                        sys.exit(f"{folder}: qfp-client has ended")
            finally:
                client.terminate()
    (before, start), (after, end) = counts
    return (after - before) / (end - start)


def interval(ratios):
    """95 % of the medians of what could have been drawn."""
    draw = random.Random(1)
    medians = sorted(
        statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(10_000)
    )
    return medians[250], medians[9749]


def compare(name, rate, old, new, pairs):
    ratios, all_rates = [], {old: [], new: []}
    for n in range(pairs):
        order = [old, new] if n % 2 == 0 else [new, old]
        rates = {binary: rate(binary) for binary in order}
        ratios.append(rates[new] / rates[old])
        for binary, one in rates.items():
            all_rates[binary].append(one)
    low, high = interval(ratios)
    middle = statistics.median(ratios)
    both = " and ".join(f"{statistics.median(all_rates[it]):.1f}" for it in (old, new))
    print(f"{name:20} {middle:.3f}  [{low:.3f}, {high:.3f}]  {pairs} pairs, rates {both}", flush=True)


def main():
    words = sys.argv[1:]
    pairs = 11
    if "--pairs" in words:
        at = words.index("--pairs")
        pairs = int(words[at + 1])
        del words[at : at + 2]
    if len(words) < 3 or words[0] not in ("walk", "l3fwd", "apart"):
        sys.exit(__doc__)
    what, old, new, *rest = words
    if what == "walk":
        for case in rest:
            compare(case, lambda binary, case=case: walk(binary, case), old, new, pairs)
        return
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(CONFIG)
        config.flush()
        arguments = rest or ["--config", config.name]

        def rate(binary):
            if what == "apart" and binary == new:
                return apart(binary, config.name)
            return l3fwd(binary, arguments)

        compare(what, rate, old, new, pairs)


main()
