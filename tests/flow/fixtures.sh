#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fixtures.sh [FILTER] - the fixture server's own test as one of ours: a server that is wrong would make wrong tests pass.
# It has no parts to choose from, so it runs when it is named, or when nothing is.
if [ -n "${1:-}" ]; then
    echo '0 passed, 0 failed'
    exit 0
fi
exec fixtures/selftest.sh "$B"
