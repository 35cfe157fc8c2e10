#!/usr/bin/env bash
# Installs what the browser and stranger tests need, on Debian, as root. Without
# root or apt it says so and leaves it to the stages to be skipped by name.
set -euo pipefail
"$(dirname "$0")/codec-packages.sh"
packages=(chromium firefox-esr iproute2 ffmpeg python3-aiortc
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-nice python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 fonts-noto-cjk libxml2-utils)
missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then echo "all packages are there"; exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed, and cannot install without root and apt: ${missing[*]}"
  exit 0
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
