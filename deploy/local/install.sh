#!/usr/bin/env bash
# Installs what the local system needs and is missing: servers from Debian, Python packages into .venv.
# `install.sh --python-only` leaves Debian alone (but for what makes a virtual environment); `--bench` adds the maker of
# load that `make bench` needs.
# Does nothing, quickly, where all is there. Speaks on standard error, so `make token` prints the token alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'install: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

python=${PYTHON:-python3}
scope=all
[ "${1:-}" != --python-only ] || scope=python
[ "${1:-}" != --bench ] || scope=bench
requirements=requirements-dev.txt
policy=/usr/sbin/policy-rc.d
saved=$policy.before-examflow
mark='# put here by examflow for the time of an installation'

# A file of each package tells whether it is there: another flavour of the same server will do as well.
there() { compgen -G "$1" >/dev/null; }
missing_packages() {
  # A virtual environment that stands needs no module to make one.
  [ -x .venv/bin/python ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  [ "$scope" != python ] || return 0
  [ "$scope" != bench ] || there /usr/bin/wrk || echo wrk
  there /usr/sbin/Orthanc || echo orthanc
  there /usr/share/orthanc/plugins/libOrthancGdcm.so || echo orthanc-gdcm
  there /usr/share/orthanc/plugins/libOrthancDicomWeb.so || echo orthanc-dicomweb
  there /usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so || echo orthanc-postgresql
  there /usr/bin/storescu || echo dcmtk
  there /usr/lib/rabbitmq/bin/rabbitmq-server || echo rabbitmq-server
  there '/usr/lib/postgresql/*/bin/postgres' || echo postgresql
  there /usr/sbin/nginx || echo nginx-light
}

# Debian's packages start their daemons when they are installed, on the standard ports; policy-rc.d forbids it.
forbid_daemons() {
  if [ -e "$policy" ] && ! grep -qF "$mark" "$policy"; then mv "$policy" "$saved"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
  chmod 755 "$policy"
}
allow_daemons() {
  if [ -e "$saved" ]; then mv "$saved" "$policy"; else rm -f "$policy"; fi
}

install_packages() {
  command -v apt-get >/dev/null || fail "missing here: $*. There is no apt-get: install them by hand, then try again."
  [ "$(id -u)" = 0 ] || fail "missing here: $*. Installing needs root: run 'sudo apt-get install $*', then try again."
  local log
  log=$(mktemp)
  trap allow_daemons EXIT
  trap 'exit 130' INT TERM HUP
  forbid_daemons
  local apt=(apt-get -o DPkg::Lock::Timeout=120 -q -y)
  say "reading Debian's package lists"
  "${apt[@]}" update >"$log" 2>&1 || { tail -15 "$log" >&2; fail "apt-get update failed: see above."; }
  say "installing from Debian: $*"
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install --no-install-recommends "$@" >"$log" 2>&1 ||
    { tail -15 "$log" >&2; fail "apt-get install failed: see above."; }
  allow_daemons
  trap - EXIT INT TERM HUP
  rm -f "$log"
}

make_venv() {
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V 2>&1): Python 3.11 or newer is needed (PYTHON=/path/to/python3 chooses another)."
  if ! .venv/bin/python -c '' 2>/dev/null; then
    say "making .venv"
    "$python" -m venv --clear .venv >&2
  fi
  local stamp=.venv/requirements.sha256 wanted
  # The packages, and the commands that the project itself installs.
  wanted=$(sed -n '/^\[project.scripts\]/,/^$/p' pyproject.toml | cat "$requirements" - | sha256sum)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    say "installing the Python packages of $requirements into .venv"
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$requirements" >&2 ||
      fail "pip could not install $requirements: see above."
    # The command `examflow`, from the code as it stands here.
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . >&2 ||
      fail "pip could not install the command examflow: see above."
    printf '%s\n' "$wanted" >"$stamp"
  fi
}

command -v "$python" >/dev/null || fail "there is no $python: install Python 3.11 or newer (Debian: apt-get install python3)."
mkdir -p .run
exec 9>.run/install.lock
flock -n 9 || { say "another installation is at work here: waiting for it"; flock -w 900 9 || fail "it did not end in 15 minutes."; }
mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
make_venv
