#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_claims.sh - the short form of claims.sh for `check`: each way of killing, at every 40th call.
# timeout: 600
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

test_an_app_and_its_service_survive_kills()
{
    LIMIT=500 expect 0 env TMPDIR="$TMP" bash "$ROOT/tests/crash/claims.sh" --from 7 --step 40 app embedded service both take
    out_has 'violations 0$'
    out_has '^embedded: [1-9]'
}

run_stories "$@"
