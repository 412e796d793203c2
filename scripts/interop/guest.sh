#!/bin/busybox sh
# shellcheck shell=dash
#
# The first process of a User Mode Linux guest whose files are the host's, read-only: it loads what
# IPsec needs, then runs each line that it reads and says how that ended.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
# By its name: the shell's own mount is started through /proc, which is still the host's.
/bin/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
stty -F /dev/console -echo -onlcr

failed=0
modules=/usr/lib/uml/modules/$(uname -r)/kernel
for module in lib/crc-ccitt net/ipv6/ipv6 \
    net/xfrm/xfrm_algo net/xfrm/xfrm_user net/ipv4/esp4 net/ipv6/esp6 \
    crypto/hmac crypto/sha512_generic crypto/drbg \
    crypto/seqiv crypto/echainiv \
    crypto/ctr crypto/gf128mul crypto/ghash-generic crypto/gcm \
    lib/crypto/libchacha crypto/chacha_generic lib/crypto/libpoly1305 crypto/poly1305_generic \
    crypto/chacha20poly1305 \
    crypto/cbc crypto/authenc crypto/authencesn; do
    insmod "$modules/$module.ko" 2>&1 || failed=1
done

# The shell has an ip of its own, without xfrm.
ip() { /usr/sbin/ip "$@"; }

# At times the kernel does not get to test its own algorithms as it boots, and does without them.
left=20
while grep -q '^selftest *: unknown' /proc/crypto && [ "$left" -gt 0 ]; do
    left=$((left - 1))
    sleep 0.1
done
[ "$left" -gt 0 ] || { grep -B5 '^selftest *: unknown' /proc/crypto; failed=1; }

echo "guest: $failed"
while IFS= read -r line; do
    # An empty one only wakes.
    [ -n "$line" ] || continue
    eval "$line" 2>&1
    echo "guest: $?"
done
poweroff -f
