#!/bin/sh
# Pings the host $1 in every length that padding depends on, and in a long one, and stops at the
# first that is not answered. More arguments are for ping.
host=$1
shift
for size in $(seq 0 17) 1300; do
    ping -n -q -c 1 -W 30 -s "$size" "$@" "$host" || exit
done
