#!/usr/bin/env bash
# Build deploy/Dockerfile as it is with podman, on a machine whose packages come by certificates of its own: these, and
# how pip and uv find them, come by mounts, and nothing of them stays in the image.
#   deploy/stand-ins/image.sh -f deploy/Dockerfile -t ratchet:local
set -euo pipefail
cd "$(dirname "$0")/../.."
certificates=/etc/ssl/certs/ca-certificates.crt
kept=$PWD/.ratchet/stand-ins/etc
mkdir -p "$kept"
printf '[global]\ncert = %s\n' "$certificates" >"$kept/pip.conf"
printf 'native-tls = true\n' >"$kept/uv.toml"
exec podman build --network=host --format docker -v "$certificates:$certificates:ro" -v "$kept/pip.conf:/etc/pip.conf:ro" \
    -v "$kept/uv.toml:/etc/uv/uv.toml:ro" "$@" .
