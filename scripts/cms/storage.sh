# Sourced: files in a plain folder or behind XRootD (root://HOST//FOLDER) by the same names.
# shellcheck shell=bash

is_remote() { [[ "$1" == root://* ]]; }
host_of() { local rest="${1#root://}"; echo "${rest%%/*}"; }
path_on_host() { local rest="${1#root://*/}"; echo "/${rest#/}"; }

exists() {  # exists FILE
  if is_remote "$1"; then xrdfs "$(host_of "$1")" stat "$(path_on_host "$1")" > /dev/null 2>&1; else [[ -e "$1" ]]; fi
}

list() {  # list FOLDER: names or paths, one a line; fails where there is no such folder
  if is_remote "$1"; then xrdfs "$(host_of "$1")" ls "$(path_on_host "$1")"; else ls "$1"; fi
}

store() {  # store LOCAL FILE: FILE appears whole or not at all, whatever happens on the way
  local part host
  part="$2.$(hostname).$$.part"
  if is_remote "$2"; then  # && throughout: set -e does not hold inside a condition, which is where this is called from
    host="$(host_of "$2")"
    xrdfs "$host" mkdir -p "$(path_on_host "${2%/*}")" &&
      xrdcp --silent --force --posc "$1" "$part" &&
      xrdfs "$host" mv "$(path_on_host "$part")" "$(path_on_host "$2")"
  else
    mkdir -p "${2%/*}" && cp "$1" "$part" && mv -f "$part" "$2"
  fi
}

store_patiently() {  # the same, tried three times: the copy is seconds, what it saves took hours
  local attempt
  for attempt in 1 2 3; do
    if store "$1" "$2"; then return; fi
    echo "copying to $2 failed, attempt $attempt of 3" >&2
    sleep "$((attempt * ${STORE_WAIT:-60}))"
  done
  return 1
}
