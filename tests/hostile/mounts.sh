#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mounts.sh [FILTER] - real file systems as the destination: what files.c plays by calls that fail, done by kernels and FUSE.
#
# Each stands in an image of its own, mounted by root in a mount namespace of its own; one whose tools are not installed is left out, and that is said. exFAT and
# NTFS come through FUSE: no case, no owners, no flags of rename, inode numbers of the moment. Ends with
#
#     mounts: 41 cases, violations 0
#
# shellcheck source=tests/lib/story.sh
. tests/lib/story.sh

mib=1048576

# ---- Disks -----------------------------------------------------------------------------------------------

disk_tools() # KIND: the programs that it takes
{
    case $1 in
    tmpfs) echo mount ;;
    exfat) echo mkfs.exfat mount.exfat-fuse ;;
    ntfs) echo mkfs.ntfs lowntfs-3g ;;
    *) echo "mkfs.$1" ;;
    esac
}

disk_make()
{
    case $kind in
    tmpfs) return ;;
    xfs) truncate -s 320M "$TMP/disk" && mkfs.xfs -q "$TMP/disk" ;;
    btrfs) truncate -s 128M "$TMP/disk" && mkfs.btrfs -q "$TMP/disk" ;;
    ext4) truncate -s 48M "$TMP/disk" && mkfs.ext4 -qF "$TMP/disk" ;;
    exfat) truncate -s 48M "$TMP/disk" && mkfs.exfat "$TMP/disk" ;;
    ntfs) truncate -s 48M "$TMP/disk" && mkfs.ntfs -qFf "$TMP/disk" ;;
    esac >"$TMP/mkfs" 2>&1 || fail "cannot make $kind: $(tail -n 1 "$TMP/mkfs")"
}

disk_mount()
{
    case $kind in
    tmpfs) mount -t tmpfs -o size=24M none "$at" ;;
    exfat) device=$(losetup -f --show "$TMP/disk") && mount.exfat-fuse "$device" "$at" ;;
    ntfs) lowntfs-3g -o ignore_case "$TMP/disk" "$at" ;;
    *) mount -o loop "$TMP/disk" "$at" ;;
    esac >"$TMP/mount" 2>&1 || fail "cannot mount $kind: $(tail -n 1 "$TMP/mount")"
}

disk_unmount()
{
    umount "$at" || fail "cannot unmount $kind"
    [ -z "$device" ] || losetup -d "$device"
    device=
}

# Of what a file system says to be free some is not, so it is filled to the end and given 2 MiB back.
disk_fill()
{
    dd if=/dev/zero of="$at/filler" bs="$mib" 2>/dev/null
    sync -f "$at"
    truncate -s -2M "$at/filler"
    sync -f "$at"
}

# ---- Cases -----------------------------------------------------------------------------------------------

url() # NAME MIB [RATE]
{
    echo "$FIXTURE_URL/$1?size=$2M&seed=$2&etag=\"$2\"${3:+&rate=$3}"
}

is_whole() # FILE MIB
{
    "$FIXTURE" --body "size=$2M&seed=$2" >"$TMP/expected" && same_file "$1" "$TMP/expected"
}

# Ended by SIGKILL once a few MiB are there.
begin_and_kill() # NAME
{
    background killed "$DLMGR" -q get --dir "$at" "$(url "$1" 6 2M)"
    wait_for 30 find_part 3000
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
}

find_part() # KIB: a part that has as much
{
    [ -n "$(find "$at" -name '*.part' -size +"$1"k)" ]
}

fetches()
{
    expect 0 "$DLMGR" -q get --dir "$at" "$(url whole 3)"
    is_whole "$at/whole" 3
}

goes_on_after_a_kill()
{
    begin_and_kill killed
    expect 0 "$DLMGR" -q run
    is_whole "$at/killed" 6
    refetches_little killed
}

# As it was at that moment: what was not synced is not on it. The slots say that it was written, and must not be believed.
goes_on_after_it_was_pulled_out()
{
    begin_and_kill pulled
    cp --sparse=always "$TMP/disk" "$TMP/pulled"
    disk_unmount
    mv "$TMP/pulled" "$TMP/disk"
    disk_mount
    expect 0 "$DLMGR" -q run
    is_whole "$at/pulled" 6
}

# What the checkpoints of half a second and the MiB at each end cost.
refetches_little() # NAME
{
    local sent
    sent=$(awk -F '\t' -v path="/$1?" '$1 == "END" && index($0, path) { n += $4 } END { printf "%d", n }' "$FIXTURE_LOG")
    [ "$sent" -le $((9 * mib)) ] || fail "$sent bytes were sent of 6 MiB"
}

another_case_is_another_name()
{
    echo mine >"$at/F.BIN"
    expect 0 "$DLMGR" get --dir "$at" "$(url f.bin 1)"
    is_whole "$(out)" 1
    expect 13 "$DLMGR" -q get --dir "$at" --on-exists fail "$(url F.BIN 2)"
    same "$(cat "$at/F.BIN")" mine
}

waits_while_it_is_full()
{
    disk_fill
    background full "$DLMGR" get --dir "$at" "$(url full 6)"
    wait_for 30 waits_for_storage
    check_not test -e "$at/full"
    rm "$at/filler"
    sync -f "$at"
    status=0
    wait "$pid" || status=$?
    same "$status" 0 "exit code once there is room"
    is_whole "$at/full" 6
}

waits_for_storage()
{
    "$DLMGR" --json list --state waiting | grep -q storage
}

fails_while_it_is_read_only()
{
    mount -o remount,ro "$at" 2>/dev/null || return 0 # FUSE does not always
    run "$DLMGR" -q get --dir "$at" "$(url ro 1)"
    same "$status" 17 "exit code when read-only"
    mount -o remount,rw "$at"
    expect 0 "$DLMGR" -q get --dir "$at" "$(url ro 1)"
    is_whole "$at/ro" 1
}

# Where modes do not last everybody could write to it.
holds_the_home_or_says_why_not()
{
    DLMGR_HOME=$at/home run "$DLMGR" -q get --dir "$at" --out homely "$(url home 1)"
    case $kind in
    exfat | ntfs) same "$status" 78 && err_has 'home .* can be written by everybody' ;;
    *) same "$status" 0 && is_whole "$at/homely" 1 ;;
    esac
}

cases='fetches goes_on_after_a_kill goes_on_after_it_was_pulled_out another_case_is_another_name waits_while_it_is_full fails_while_it_is_read_only
holds_the_home_or_says_why_not'

on_disk() # KIND
{
    local c tool
    kind=$1 at=$TMP/at device=
    mkdir "$at"
    for tool in $(disk_tools "$kind"); do
        command -v "$tool" >/dev/null || { echo "    $kind: left out, no $tool" && return; }
    done
    disk_make
    disk_mount
    fixture_start
    for c in $cases; do
        case $kind/$c in tmpfs/*pulled*) continue ;; esac
        "$c"
        echo "    $kind: $c" | tee -a "$COUNT"
    done
    disk_unmount
}

test_tmpfs() { on_disk tmpfs; }
test_ext4() { on_disk ext4; }
test_xfs() { on_disk xfs; }
test_btrfs() { on_disk btrfs; }
test_exfat() { on_disk exfat; }
test_ntfs() { on_disk ntfs; }

story_undo()
{
    ! mountpoint -q "$TMP/at" || umount "$TMP/at"
    [ -z "${device:-}" ] || losetup -d "$device"
}

if [ -z "${COUNT:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo 'mounts: 0 cases, violations 0: only root can mount' && exit; }
    COUNT=$(mktemp) exec unshare -m --propagation private "$0" "$@"
fi
run_stories "$@" | tee "$COUNT.out"
failed=$(grep -c '^FAIL' "$COUNT.out")
echo "mounts: $(wc -l <"$COUNT") cases, violations $failed"
rm "$COUNT" "$COUNT.out"
[ "$failed" = 0 ]
