#!/bin/sh
# SPDX-License-Identifier: MIT
#
# on-event.sh - something to do for each file that has come, from a shell script.
#
#     on-event.sh INBOX [SESSION]     copies each finished file to INBOX, and writes down what failed; until ^C
#
# dlmgr runs this script anew for each event, and acknowledges the event when it exits with 0. Should either be killed in between, the
# event comes again: so do things that can be done twice, such as making a copy and then giving it its name.
set -eu

if [ -z "${DLMGR_TYPE:-}" ]; then
    [ $# -ge 1 ] || { echo "usage: $0 INBOX [SESSION]" >&2 && exit 2; }
    SELF=$0 INBOX=$1
    export SELF INBOX
    # shellcheck disable=SC2016 # for the shell that dlmgr starts
    exec dlmgr events --session "${2:-default}" --follow --exec 'sh "$SELF"'
fi

case $DLMGR_TYPE in
done)
    cp -- "$DLMGR_PATH" "$INBOX/.$DLMGR_ID.new"
    mv -- "$INBOX/.$DLMGR_ID.new" "$INBOX/${DLMGR_PATH##*/}"
    ;;
failed)
    cat >"$INBOX/failed-$DLMGR_ID.json" # the whole event, with the reason, is on stdin
    ;;
esac
