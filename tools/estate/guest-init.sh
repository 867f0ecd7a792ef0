#!/bin/sh
# The whole user space of a guest of the estate. The kernel hands over its command line's guest_name, guest_disks (the
# file system of each disk, in order, with commas) and guest_kind (ok, panic, silent, tied) as environment variables.

say() {
  echo "$*" >/dev/tty0
  echo "$*" >/dev/ttyS0
}

# The power button is an input device with one key.
await_power_button() {
  for device in /sys/class/input/event*; do
    case "$(cat "$device/device/name")" in
      *"Power Button"*)
        dd if="/dev/input/${device##*/}" of=/dev/null bs=24 count=1 2>/dev/null
        say "landfall-guest $guest_name powers off"
        poweroff -f
        ;;
    esac
  done
}

# Drives appear in their own time.
find_disk() {
  tries=50
  until findfs "LABEL=LANDFALL-$1" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.2
  done
}

show_disk() {
  device=$(find_disk "$1") || { say "landfall-guest disk $1 is missing"; return 1; }
  mkdir -p "/disk/$1"
  mount -t "$2" -o ro "$device" "/disk/$1" || { say "landfall-guest disk $1 cannot be mounted"; return 1; }
  for file in "/disk/$1/content"/*; do
    hash=$(sha256sum <"$file") || { say "landfall-guest disk $1 cannot be read"; return 1; }
    say "landfall-guest disk $1 sha256 ${hash%% *} ${file##*/}"
  done
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod "/modules/$module"; done

[ "$guest_kind" = panic ] && exit 1
# Tied to the name of its disk, as an fstab can be: it boots where its disk is virtio, and nowhere else.
if [ "$guest_kind" = tied ] && [ ! -e /sys/block/vda ]; then
  say "landfall-guest $guest_name does not find /dev/vda"
  exit 1
fi
[ "$guest_kind" = silent ] && say() { :; }
await_power_button &
[ "$guest_kind" = silent ] && while :; do sleep 3600; done

[ -d /sys/firmware/efi ] && firmware=UEFI || firmware=BIOS
say
say "$(uname -srm)"
say "landfall-guest $guest_name booted ($firmware)"
number=0
for type in $(echo "$guest_disks" | tr , ' '); do
  show_disk "$number" "$type" || failed=yes
  number=$((number + 1))
done
if [ "$failed" = yes ]; then
  say "landfall-guest $guest_name does not have its disks"
else
  say
  for screen in /dev/tty0 /dev/ttyS0; do printf '%s login: ' "$guest_name" >"$screen"; done
fi
while :; do sleep 3600; done
