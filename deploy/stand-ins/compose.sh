#!/usr/bin/env bash
# Build docker-compose from the Go module proxy into .ratchet/tools, where no engine brings it: its go.mod replaces
# modules, so that `go install module@version` refuses it.
set -euo pipefail
version=${COMPOSE_VERSION:-v2.40.3}
out=$(cd "$(dirname "$0")/../.." && pwd)/.ratchet/tools/docker-compose
[ -x "$out" ] && exit 0
folder=$(go mod download -json "github.com/docker/compose/v2@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$folder/." "$work"
chmod -R u+w "$work"
cd "$work"
GOFLAGS=-mod=mod CGO_ENABLED=0 go build -trimpath -tags "fsnotify,e2e" \
    -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$version" -o "$out" ./cmd
"$out" version >&2
