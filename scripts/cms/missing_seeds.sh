#!/usr/bin/env bash
# Seeds whose ntuple is not at the destination, one a line: all of them before the first submission, those to submit again after it.
# Usage: missing_seeds.sh FIRST LAST DESTINATION > seeds.txt
set -euo pipefail
[[ $# -eq 3 ]] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source-path=SCRIPTDIR source=storage.sh
source "$here/storage.sh"

present="$(list "$3")" || echo "note: cannot list $3, so all seeds count as missing" >&2
comm -23 <(seq "$1" "$2" | sort) <(sed -n 's/^\(.*\/\)\{0,1\}pfntuple_\([0-9]*\)\.root$/\2/p' <<< "$present" | sort) | sort -n
