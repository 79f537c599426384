#!/bin/sh
# Builds a small Linux guest: build-image.sh FOLDER leaves FOLDER/vmlinuz and FOLDER/initrd, whose /init is the file
# init beside this script. Packages are unpacked, not configured: the guest runs nothing of Debian's own start-up.
# Needs root, mmdebstrap and cpio, and Debian's mirror.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
root=$(mktemp -d "${TMPDIR:-/tmp}/guest-root.XXXXXX")
trap 'rm -rf "$root"' EXIT INT TERM

packages=base-files,libc-bin,bash,dash,coreutils,grep,sed,mount,util-linux,kmod,udev,procps,iproute2
packages=$packages,linux-image-cloud-amd64,open-iscsi,multipath-tools,sg3-utils,fio,xfsprogs,e2fsprogs
mmdebstrap --quiet --mode=root --variant=extract --format=directory --architectures=amd64 \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include="$packages" \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$root" http://deb.debian.org/debian

kernel=$(ls "$root/lib/modules")
chroot "$root" depmod "$kernel"
# Only the modules that the guest loads, and those that they need.
mkdir "$root/modules"
for module in virtio_pci virtio_net virtio_rng iscsi_tcp sd_mod sg ext4 xfs crc32c_generic crc32c_intel \
  dm_multipath dm_round_robin dm_service_time dm_queue_length scsi_dh_alua; do
  chroot "$root" modprobe -S "$kernel" --show-depends "$module" 2>/dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u > "$root/modules/list"
(cd "$root" && sed 's,^/,,' modules/list | cpio --quiet -pdm modules/keep)
cp "$root/lib/modules/$kernel"/modules.builtin* "$root/lib/modules/$kernel/modules.order" "$root/modules/"
rm -rf "$root/lib/modules/$kernel"
mkdir "$root/lib/modules/$kernel"
cp -r "$root"/modules/keep/usr/lib/modules/"$kernel"/. "$root/lib/modules/$kernel" 2>/dev/null ||
  cp -r "$root"/modules/keep/lib/modules/"$kernel"/. "$root/lib/modules/$kernel"
cp "$root"/modules/modules.* "$root/lib/modules/$kernel"
chroot "$root" depmod "$kernel"
chroot "$root" ldconfig

mkdir -p "$folder"
cp "$root"/boot/vmlinuz-* "$folder/vmlinuz.new"
rm -rf "$root/modules" "$root/boot" "$root/usr/share" "$root/usr/include" "$root/var/cache" "$root/var/lib/dpkg" \
  "$root"/usr/lib/python3* "$root"/usr/lib/*/perl* "$root"/usr/lib/*/perl-base "$root/usr/lib/apt" \
  "$root"/usr/bin/perl* "$root"/usr/bin/python3*
mkdir -p "$root/usr/share" "$root/var/lib/iscsi" "$root/etc/iscsi" "$root/run/lock"
cp "$here/init" "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . -print0 | cpio --quiet --null -o -H newc) > "$folder/initrd.new"
mv "$folder/vmlinuz.new" "$folder/vmlinuz"
mv "$folder/initrd.new" "$folder/initrd"
