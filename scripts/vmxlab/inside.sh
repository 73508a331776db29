#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# inside.sh EMPTY ROOT CERTIFICATES FOLDER COMMAND...: runs COMMAND in FOLDER, with
# ROOT's /usr and /etc in the place of the machine's. To be run as the root of a mount
# namespace, by the machine's own sh; EMPTY is a folder to mount on.
set -e
PATH=$PATH:/usr/sbin:/sbin
new=$1 tools=$2 certificates=$3 folder=$4
shift 4
mount -t tmpfs -o mode=755 tmpfs "$new"
for path in /* /.[!.]*; do
    name=${path##*/}
    [ -e "$tools/$name" ] && [ "$name" != root ] && continue
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        mkdir "$new/$name"
        mount --rbind "$path" "$new/$name"
    elif [ -L "$path" ]; then
        cp -P "$path" "$new/$name"
    fi
done
for path in "$tools"/* "$tools"/.[!.]*; do
    name=${path##*/}
    if [ -L "$path" ]; then
        cp -P "$path" "$new/$name"
    elif [ -d "$path" ]; then
        mkdir -p "$new/$name"
        case $name in etc|usr) mount --bind "$path" "$new/$name" ;;
        *) mount --rbind "/$name" "$new/$name" ;;
        esac
    else
        : >"$new/$name"
    fi
done
# What of the machine's own has to be seen: its names, its network, its certificates.
over() { [ ! -e "$1" ] || mount --bind "$1" "$new$2"; }
over "$(readlink -f /etc/resolv.conf)" /etc/resolv.conf
for name in hosts passwd group; do over "/etc/$name" "/etc/$name"; done
over "$certificates" /etc/ssl/certs/ca-certificates.crt
# Kernel headers and modules that the machine has, beside those of the root.
for path in /usr/src/* /lib/modules/* /usr/lib/linux-kbuild-*; do
    if [ ! -d "$path" ] || [ -L "$path" ]; then continue; fi
    case $path in /lib/*) place=$tools/usr$path ;; *) place=$tools$path ;; esac
    mkdir -p "$place"
    [ -z "$(ls -A "$place")" ] && mount --rbind "$path" "$new${place#"$tools"}"
done
cd "$new"
pivot_root . .
umount -l .
cd "$folder"
exec "$@"
