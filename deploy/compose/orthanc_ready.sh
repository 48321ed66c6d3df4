#!/bin/bash
# Orthanc's health check: it reads from its index, and that is the one in PostgreSQL. Without that plugin Orthanc would
# quietly go on with SQLite. In bash, because its images have no HTTP client in common.
set -euo pipefail
credentials=$(printf 'preview:%s' "$ORTHANC_PREVIEW_PASSWORD" | base64 -w 0)

get() {
  exec 3<>/dev/tcp/127.0.0.1/8042
  printf 'GET %s HTTP/1.0\r\nAuthorization: Basic %s\r\n\r\n' "$1" "$credentials" >&3
  cat <&3
}

changes=$(get '/changes?last')
[[ $changes == HTTP/1.?' 200 '* ]] || { echo "GET /changes answers ${changes%%$'\r'*}"; exit 1; }
[[ $(get /system) == *PostgreSQLIndex* ]] || { echo "the PostgreSQL plugin is not the index"; exit 1; }
