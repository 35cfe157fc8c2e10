#!/usr/bin/env bash
# Installs the codec libraries that the mixer loads if they are there: Opus, VP8
# and VP9, H.264, AV1. Debian and Ubuntu, as root. Without root, apt or network it says
# so and goes on: sound is mixed without them, pictures are not.
set -u
command -v ldconfig >/dev/null || PATH=$PATH:/sbin:/usr/sbin
want=() # the first package of each line that this release has
there=$(ldconfig -p 2>/dev/null)
have() { grep -q "$1" <<<"$there"; }
have 'libopus\.so\.0' || want+=("libopus0")
have 'libvpx\.so\.' || want+=("libvpx7 libvpx9 libvpx11 libvpx12")
have 'libopenh264\.so\.' || want+=("libopenh264-7 libopenh264-8")
have 'libdav1d\.so\.[67]' || want+=("libdav1d6 libdav1d7")
[ ${#want[@]} -eq 0 ] && exit 0
names=${want[*]}
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "codec libraries missing, pictures may not be mixed; as root: apt-get install ${names}  (one of each kind)"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq 2>/dev/null || true
for group in "${want[@]}"; do
  for p in $group; do
    apt-cache show "$p" >/dev/null 2>&1 || continue
    echo "installing $p"
    apt-get install -y -qq --no-install-recommends "$p" >/dev/null 2>&1 || echo "could not install $p: the mixer goes on without"
    break
  done
done
exit 0
