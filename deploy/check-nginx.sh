#!/bin/sh
# Hold deploy/nginx.conf against nginx itself, with certificates made up for it: `sh deploy/check-nginx.sh`.
set -eu
command -v nginx > /dev/null || { echo "nginx is not installed (Debian: apt-get install nginx-light); nothing was checked" >&2; exit 0; }
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in pay.example.com ops.example.com; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj "/CN=$name" \
        -keyout "$folder/$name.key" -out "$folder/$name.pem" 2> /dev/null
done
sed "s#/etc/nginx/tls/#$folder/#" "$here/nginx.conf" > "$folder/ratchet.conf"
printf 'pid %s/nginx.pid;\nerror_log stderr;\nevents {}\nhttp { access_log off; include %s/ratchet.conf; }\n' \
    "$folder" "$folder" > "$folder/nginx.conf"
nginx -t -p "$folder" -c "$folder/nginx.conf"
