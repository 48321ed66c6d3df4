#!/bin/bash
# Orthanc's health check: it reads from its index, that is the one in PostgreSQL, and a service is held to its routes.
# Without the plugin Orthanc would quietly go on with SQLite, without routes.lua it would refuse nothing. In bash,
# because its images have no HTTP client in common.
set -euo pipefail

# get USER PASSWORD PATH
get() {
  exec 3<>/dev/tcp/127.0.0.1/8042
  printf 'GET %s HTTP/1.0\r\nAuthorization: Basic %s\r\n\r\n' "$3" "$(printf '%s:%s' "$1" "$2" | base64 -w 0)" >&3
  cat <&3
}

changes=$(get preview "$ORTHANC_PREVIEW_PASSWORD" '/changes?last')
[[ $changes == HTTP/1.?' 200 '* ]] || { echo "GET /changes answers ${changes%%$'\r'*}"; exit 1; }
[[ $(get admin "$ORTHANC_ADMIN_PASSWORD" /system) == *PostgreSQLIndex* ]] || { echo "the PostgreSQL plugin is not the index"; exit 1; }
[[ $(get preview "$ORTHANC_PREVIEW_PASSWORD" /system) != HTTP/1.?' 200 '* ]] || { echo "routes.lua is not at work"; exit 1; }
