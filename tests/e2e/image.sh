#!/usr/bin/env bash
# Makes the toy tasks' Docker images from Debian packages, without a Docker registry.
# Needs root, debootstrap and a Docker Engine. Does nothing when the images are there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
base=coopdeck-e2e-base
name=akhatua/cooperbench-toy
tasks="1 2"
suite=bookworm
packages=git,ca-certificates,python3,python3-pytest
recipe=$(cat "$here"/image/{Dockerfile,calc.py,runner.sh} | sha256sum | cut -c1-12)

# Two test sessions may start at once; the second shall find the first one's images.
exec 9>"${TMPDIR:-/tmp}/coopdeck-e2e-image.lock"
flock 9

present() {
    [ "$(docker image inspect -f '{{index .Config.Labels "coopdeck.recipe"}}' "$1" 2>/dev/null)" = "$recipe" ]
}

make_base() {
    local root mirror proxy=""
    root=$(mktemp -d "${TMPDIR:-/tmp}/coopdeck-e2e-root.XXXXXX")
    # shellcheck disable=SC2064  # the folder's name is wanted as it is now
    trap "rm -rf '$root'" EXIT
    # The mirror and the proxy this machine's apt uses: another may be out of reach.
    # (awk reads to the end on purpose: a broken pipe would end the script.)
    mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Codename: $suite" |
        awk 'NR == 1' || true)
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    if [ -n "$proxy" ]; then export http_proxy="$proxy"; fi
    # $mirror is left unquoted: without one, debootstrap has a default of its own.
    # shellcheck disable=SC2086
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" $mirror >&2
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,locale,man}/*
    tar -C "$root" -c . | docker import - "$base" >/dev/null
}

for task in $tasks; do
    if present "$name:task$task"; then continue; fi
    if ! docker image inspect "$base" >/dev/null 2>&1; then make_base; fi
    # The old builder is in every Docker; buildx is a package of its own.
    DOCKER_BUILDKIT=0 docker build -q -t "$name:task$task" \
        --build-arg "TASK=$task" --build-arg "RECIPE=$recipe" "$here/image" >/dev/null
    echo "made $name:task$task"
done
