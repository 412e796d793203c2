"""Binds UDP port 4500 for ESP in UDP (RFC 3948), IPv4 and IPv6, and keeps it: the kernel opens what
arrives there, and asks for a socket only to know that it may."""

import signal
import socket

UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2

sockets = []
for family, any_address in (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"):
    bound = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    bound.bind((any_address, 4500))
    sockets.append(bound)
signal.pause()
