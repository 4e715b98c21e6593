# Sourced by the other scripts: makes .venv with pinned dependencies on a machine that has only Python and pip, activates it.
# Run again, it reuses the environment as long as setup.py and constraints.txt are unchanged.
# MLPF_PYTHON names another interpreter, MLPF_VENV another place.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${MLPF_PYTHON:-python3}"
venv="${MLPF_VENV:-$root/.venv}"

"$python" - <<'PY' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}; set MLPF_PYTHON to another interpreter")
PY

want="$(cat "$root/setup.py" "$root/constraints.txt" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())') $root"
stamp="$venv/mlpf-installed"
if [[ ! -f "$stamp" || "$(cat "$stamp")" != "$want" ]]; then
  echo "== Setting up the environment in $venv (a few minutes, once)"
  # Another interpreter's or a half-made environment is made anew.
  [[ -x "$venv/bin/python" && -f "$venv/pyvenv.cfg" ]] || { rm -rf "$venv"; "$python" -m venv "$venv"; }
  rm -f "$stamp"
  pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check)
  # torch goes first: a later resolve then keeps the build that the machine's index offers for this very version.
  "${pip[@]}" install "$(grep -E '^torch==' "$root/constraints.txt")"
  "${pip[@]}" install --constraint "$root/constraints.txt" --editable "$root[train,simulate,tune,cluster,dev]"
  echo "$want" > "$stamp"
fi
# shellcheck disable=SC1091
source "$venv/bin/activate"
