#!/usr/bin/env python3
"""Compares two builds of the walk bench, or of l3fwd, pair by pair in one run.

usage: compare-builds.py walk OLD NEW CASE... [--pairs N]
       compare-builds.py l3fwd OLD NEW [ARG...] [--pairs N]

The builds take turns, and who is first changes with each pair, so that what else the machine does
meets both alike. Prints the median of new over old in rate (above 1: the new one is faster) and its
95 % interval by the bootstrap. `l3fwd` reads the rate of a run with ARG...; without, one lcore
routes 64-byte packets from a generator to a sink.
"""

import json
import random
import re
import statistics
import subprocess
import sys
import tempfile

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


def interval(ratios):
    """95 % of the medians of what could have been drawn."""
    draw = random.Random(1)
    medians = sorted(
        statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(10_000)
    )
    return medians[250], medians[9749]


def compare(name, rate, old, new, pairs):
    ratios = []
    for n in range(pairs):
        order = [old, new] if n % 2 == 0 else [new, old]
        rates = {binary: rate(binary) for binary in order}
        ratios.append(rates[new] / rates[old])
    low, high = interval(ratios)
    middle = statistics.median(ratios)
    print(f"{name:20} {middle:.3f}  [{low:.3f}, {high:.3f}]  {pairs} pairs", flush=True)


def main():
    words = sys.argv[1:]
    pairs = 11
    if "--pairs" in words:
        at = words.index("--pairs")
        pairs = int(words[at + 1])
        del words[at : at + 2]
    if len(words) < 3 or words[0] not in ("walk", "l3fwd"):
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
        compare("l3fwd", lambda binary: l3fwd(binary, arguments), old, new, pairs)


main()
