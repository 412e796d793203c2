#!/usr/bin/env python3
"""Seals or opens packets with scapy's IPsec layer.

Reads one JSON object a line and answers each with one:

    {"do": "seal" | "open", "sa": {...}, "packets": [[SEQUENCE, "hex of an IP packet"], ...]}
    -> {"packets": ["hex of an IP packet", ...]}

An SA: spi, crypt, crypt_key, auth, auth_key (scapy's names, keys in hex), tunnel ([source,
destination] of the outer packets, or null for transport mode), udp ([source, destination] or null),
esn (whether numbers are extended).
"""

import json
import sys

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation


def association(sa, sequence):
    """The SA as scapy has it, for one packet."""
    tunnel = nat_t = None
    if sa["tunnel"]:
        source, destination = sa["tunnel"]
        if ":" in source:
            tunnel = IPv6(src=source, dst=destination, hlim=64)
        else:
            tunnel = IP(src=source, dst=destination, ttl=64)
    if sa["udp"]:
        nat_t = UDP(sport=sa["udp"][0], dport=sa["udp"][1])
    return SecurityAssociation(
        ESP,
        spi=sa["spi"],
        crypt_algo=sa["crypt"],
        crypt_key=bytes.fromhex(sa["crypt_key"]),
        auth_algo=sa["auth"],
        auth_key=bytes.fromhex(sa["auth_key"]),
        tunnel_header=tunnel,
        nat_t_header=nat_t,
        esn_en=sa["esn"],
        esn=sequence >> 32,
    )


def packet(octets):
    """The octets as scapy's packet."""
    return (IPv6 if octets[0] >> 4 == 6 else IP)(octets)


def process(request):
    """Seals or opens the packets of one request."""
    results = []
    for sequence, octets in request["packets"]:
        sa = association(request["sa"], sequence)
        before = packet(bytes.fromhex(octets))
        if request["do"] == "seal":
            after = sa.encrypt(before, seq_num=sequence & 0xFFFFFFFF)
            if request["sa"]["udp"]:
                # In IPv4 it has taken the length before there was anything in the datagram.
                after[UDP].len = len(after[UDP])
        else:
            assert before[ESP].seq == sequence & 0xFFFFFFFF, before[ESP].seq
            after = sa.decrypt(before)
        results.append(bytes(after).hex())
    return {"packets": results}


for line in sys.stdin:
    print(json.dumps(process(json.loads(line))), flush=True)
