#!/usr/bin/env bash
# Makes the image of a machine with systemd and logind, for test_logout.py. Needs root, debootstrap and a Docker Engine.
set -euo pipefail

name=coopdeck-e2e-logind
if docker image inspect "$name" >/dev/null 2>&1; then exit 0; fi
root=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX")
trap 'rm -rf "$root"' EXIT
mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Codename: bookworm" | awk 'NR == 1' || true)
# shellcheck disable=SC2086
debootstrap --variant=minbase --include=systemd-sysv,dbus,libpam-systemd,python3,procps bookworm "$root" $mirror >&2
tar -C "$root" -c . | docker import - "$name" >/dev/null
