#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_no_switch.sh - nothing turns the verification of certificates off: no option, no setting, and no line of code. What the environment says is
# in cases/tls.txt.
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

test_no_option_turns_verification_off()
{
    local option
    for option in -k --insecure --no-check-certificate --check-certificate=false --no-verify --proxy-insecure --no-ssl-verify --ciphers=ALL; do
        expect 64 "$DLMGR" get "$option" https://localhost:1/f
    done
}

test_no_setting_turns_verification_off()
{
    local line
    mkdir -p "$DLMGR_HOME"
    chmod 700 "$DLMGR_HOME"
    for line in 'insecure = yes' 'check-certificate = no' 'verify = no' 'ssl-verify = no' 'ssl_verify_peer = 0'; do
        echo "$line" >"$DLMGR_HOME/dlmgr.conf"
        expect 78 "$DLMGR" list
        err_has 'dlmgr.conf:1'
    done
}

# Set in one place, to the most that libcurl can.
test_no_line_of_code_turns_verification_off()
{
    cd "$ROOT" || exit 1
    same "$(grep -rhoE 'SSL_VERIFY(PEER|HOST|STATUS), [^)]*' dlmgr store daemon cli | sort | paste -sd ' ')" \
        'SSL_VERIFYHOST, 2L SSL_VERIFYPEER, 1L'
    check_not grep -rn SSL_VERIFY_NONE dlmgr store daemon cli
}

run_stories "$@"
