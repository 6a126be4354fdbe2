#!/bin/sh
# Installs the servers and tools that tests use as real peers. Debian 12, as root (or with sudo).
set -eu
packages="python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base
gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp
ffmpeg tmux vlc-bin vlc-plugin-base mosquitto"
absent=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || absent="$absent $package"
done
[ -n "$absent" ] || { echo "the real peers are installed"; exit 0; }
if [ "$(id -u)" -eq 0 ]; then as_root=""; else as_root="sudo"; fi
echo "installing:$absent"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -o Acquire::Retries=3 update -qq
# shellcheck disable=SC2086 — the list is meant to be split.
$as_root apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends $absent >/dev/null
