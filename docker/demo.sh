#!/bin/sh
# The shipped network and its recorded day, shifted so that it ends now; each aggregator with a key of its own.
set -eu
data=/usr/share/backfeed/data/semiurb
backfeed network import "$data" --data-dir /var/lib/backfeed
cd /tmp
set --
for name in AGG-SUN-A AGG-SUN-B AGG-HOME-C AGG-EV-D AGG-EV-E UTIL-AMI UTIL-SCADA; do
  backfeed access add-publisher "$name" --data-dir /var/lib/backfeed --key-file "$name.key"
  set -- "$@" --key "$name.key"
done
exec backfeed replay "$data" --window day --speed 60 --shift-to now --to tcp://127.0.0.1:5560 --control tcp://127.0.0.1:5561 "$@"
