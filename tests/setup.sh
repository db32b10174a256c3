#!/usr/bin/env bash
# Sets up what the tests need beside cargo: Debian packages, the vendors' packages from npm and PyPI,
# and a Python 2.7 for Autobahn. Safe to run again: a warm run only compares hashes.
#
# As root on Debian it installs what is missing. As anyone else it prints one apt line and exits 2.
# Downloads go to ${WHARF_CACHE:-$HOME/.cache/wharf}; nothing is left running.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
conformance=$here/conformance
cache=${WHARF_CACHE:-$HOME/.cache/wharf}
mkdir -p "$cache/bin"

# Two `make test` at once would install over each other.
exec 9>"$cache/setup.lock"
flock 9

say() { printf 'setup: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
hash_of() { cat "$@" | sha256sum | cut -c1-12; }

# --- Debian packages -------------------------------------------------------------------------------

missing=()
has node || missing+=(nodejs)
has npm || missing+=(npm)
has python3 || missing+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
has chromium || missing+=(chromium)
has dpkg-deb || missing+=(dpkg)
# For the documentation's own commands.
has curl || missing+=(curl)
has openssl || missing+=(openssl)
# For the fuzzing engine.
has c++ || missing+=(g++)

if ((${#missing[@]})); then
  line="apt-get install -y --no-install-recommends ${missing[*]}"
  if [[ $(id -u) != 0 ]] || ! has apt-get; then
    say "missing: ${missing[*]}. On Debian, run as root, then try again:"
    printf '%s\n' "$line"
    exit 2
  fi
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $line -qq >/dev/null
fi

# Runs apt with folders of its own under $1, so that it needs no root and leaves the system alone.
private_apt() {
  local root=$1
  shift
  mkdir -p "$root/lists/partial" "$root/archives/partial"
  apt-get -qq -o Dir::State::Lists="$root/lists" -o Dir::Cache="$root" \
    -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o APT::Sandbox::User="$(id -un)" "$@"
}

# unpack_debs ROOT RELEASE PACKAGE...: unpacks packages of a Debian release into ROOT. Installing
# them would start services or put an old release beside the system's own.
unpack_debs() {
  local root=$1 release=$2 mirror
  shift 2
  has apt-get || { say "no apt-get: $* must be installed by hand"; exit 2; }
  # The mirror that this machine already uses; the security archive holds only updates.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  [[ -n $mirror ]] || { say "apt has no Debian mirror configured"; exit 2; }
  mkdir -p "$root/apt"
  printf 'deb %s %s main\n' "$mirror" "$release" >"$root/apt/sources.list"
  private_apt "$root/apt" update
  (cd "$root/apt" && private_apt "$root/apt" download "$@")
  for deb in "$root"/apt/*.deb; do dpkg-deb -x "$deb" "$root"; done
  rm -rf "$root/apt"
}

# --- Prometheus: the binary alone, since its Debian package starts a service ------------------------

if has prometheus; then
  ln -sfn "$(command -v prometheus)" "$cache/bin/prometheus"
elif [[ ! -e $cache/prometheus/.complete ]]; then
  say "unpacking prometheus"
  rm -rf "$cache/prometheus"
  mkdir -p "$cache/prometheus"
  unpack_debs "$cache/prometheus" "$(. /etc/os-release && echo "$VERSION_CODENAME")" prometheus
  ln -sfn "$cache/prometheus/usr/bin/prometheus" "$cache/bin/prometheus"
  touch "$cache/prometheus/.complete"
fi

# --- npm -------------------------------------------------------------------------------------------

node_dir=$cache/node-$(hash_of "$conformance/package.json" "$conformance/package-lock.json")
if [[ ! -e $node_dir/.complete ]]; then
  say "installing npm packages"
  rm -rf "$node_dir"
  mkdir -p "$node_dir"
  cp "$conformance/package.json" "$conformance/package-lock.json" "$node_dir/"
  (cd "$node_dir" && npm ci --no-audit --no-fund --no-update-notifier \
    --ignore-scripts --loglevel=error >/dev/null)
  touch "$node_dir/.complete"
fi
# Node finds packages beside the importing file only; the link is ignored by git.
ln -sfn "$node_dir/node_modules" "$conformance/node_modules"

# --- Python 3 --------------------------------------------------------------------------------------

python3_dir=$cache/python3-$(hash_of "$conformance/requirements.txt")
if [[ ! -e $python3_dir/.complete ]]; then
  say "installing Python 3 packages"
  rm -rf "$python3_dir"
  python3 -m venv "$python3_dir"
  "$python3_dir/bin/python" -m pip install -q --disable-pip-version-check \
    -r "$conformance/requirements.txt"
  touch "$python3_dir/.complete"
fi

# --- rotel, an OpenTelemetry collector --------------------------------------------------------------

rotel_version=0.0.1a15
if [[ ! -e $cache/rotel/.complete-$rotel_version ]]; then
  say "installing rotel"
  rm -rf "$cache/rotel"
  python3 -m venv "$cache/rotel"
  "$cache/rotel/bin/pip" install -q --disable-pip-version-check "rotel==$rotel_version"
  touch "$cache/rotel/.complete-$rotel_version"
fi

# --- Python 2.7 and Autobahn -----------------------------------------------------------------------

# Prints the path of a Python 2.7 that has pip, if this machine has one.
installed_python2() {
  local version
  for version in '' 2.7.18; do
    PYENV_VERSION=$version python2.7 -c 'import pip, sys; print(sys.executable)' 2>/dev/null && return
  done
}

# Debian's last Python 2.7, beside the system. Prints the pip wheel that came with it.
debian_python2() {
  local root=$1/debian library
  unpack_debs "$root" bullseye python2.7 python2.7-minimal libpython2.7-minimal \
    libpython2.7-stdlib libssl1.1 libffi7 python-pip-whl
  library=$root/usr/lib/$(dpkg --print-architecture | sed 's/amd64/x86_64/; s/arm64/aarch64/')-linux-gnu
  cat >"$1/bin/python" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$library PYTHONHOME=$root/usr exec $root/usr/bin/python2.7 "\$@"
EOF
}

python2_dir=$cache/python2-$(hash_of "$conformance/requirements-python2.txt")
if [[ ! -e $python2_dir/.complete ]]; then
  say "installing Autobahn for Python 2.7"
  rm -rf "$python2_dir"
  mkdir -p "$python2_dir/bin"
  found=$(installed_python2 || true)
  if [[ -n $found ]]; then
    printf '#!/bin/sh\nexec %s "$@"\n' "$found" >"$python2_dir/bin/python"
    wheels=
  else
    debian_python2 "$python2_dir"
    wheels=$(printf '%s:' "$python2_dir"/debian/usr/share/python-wheels/*.whl)
  fi
  chmod +x "$python2_dir/bin/python"
  pip2() {
    PYTHONPATH=$wheels$python2_dir/site "$python2_dir/bin/python" -m pip install -qq --no-deps \
      --disable-pip-version-check --target "$python2_dir/site" "$@"
  }
  # Some packages come as source: what builds them comes first.
  mapfile -t builders < <(grep -E '^(setuptools|wheel)==' "$conformance/requirements-python2.txt")
  pip2 "${builders[@]}"
  pip2 -r "$conformance/requirements-python2.txt"
  "$python2_dir/bin/python" "$conformance/autobahn/wstest.py" "$python2_dir/site" --help >/dev/null
  touch "$python2_dir/.complete"
fi
