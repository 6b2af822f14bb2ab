#!/bin/sh
# Name the images of compose.yaml by digest: `sh deploy/pin-images.sh` asks their registries (docker buildx) and writes
# deploy/.env, which compose reads. `sh deploy/pin-images.sh --check` asks nobody and says which are not pinned.
# A tag may be moved to another image; a digest is the one that you looked at. Commit .env; run this again to upgrade.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pins=$here/.env
touch "$pins"

# Each variable and the image by version that compose.yaml names.
images() { sed -n 's/.*\${\([A-Z]*_IMAGE\):-\([^}]*\)}.*/\1 \2/p' "$here/compose.yaml" | grep -v '^RATCHET_' | sort -u; }

if [ "${1:-}" = --check ]; then
    images | {
        missing=0
        while read -r name image; do
            digest=$(sed -n "s|^$name=$image@sha256:\\([0-9a-f]\\{64\\}\\)\$|\\1|p" "$pins")
            [ -n "$digest" ] || { echo "$image is not pinned: run sh deploy/pin-images.sh" >&2; missing=1; }
        done
        exit $missing
    }
    exit
fi

images > "$pins.images"
grep -v -E '^(KAFKA|POSTGRES|REDIS|PROMETHEUS|GRAFANA|PYTHON)_IMAGE=' "$pins" > "$pins.new" || true
while read -r name image; do
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image" < /dev/null)
    case $digest in
        sha256:*) echo "$name=$image@$digest" >> "$pins.new" ;;
        *) echo "the registry names no digest for $image: $digest" >&2; rm -f "$pins.new" "$pins.images"; exit 1 ;;
    esac
done < "$pins.images"
mv "$pins.new" "$pins" && rm "$pins.images"
echo "$pins"
