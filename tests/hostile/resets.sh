#!/bin/bash
# SPDX-License-Identifier: MIT
#
# resets.sh - resets.c in full: RST and FIN at every byte of an answer of 64 KiB over HTTP, and at more than 4,096 places of one over TLS. Takes
# many minutes. Its files go to $TMPDIR.
set -eu
cd "$(dirname "$0")/../.."
B=${B:-build} certs=$(mktemp -d)
trap 'rm -rf "$certs"' EXIT
bash fixtures/certs.sh "$certs/certs"
"$B/hostile/resets" 0 65535
"$B/hostile/resets" --tls "$certs/certs" --step 16 0 67600
