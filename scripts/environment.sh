# Sourced by scripts/demo, scripts/test and .ci/run: finds a Python and keeps one virtual environment a purpose.
# Needs bash, coreutils and a Python 3.10-3.13; a second run installs nothing and works with the network off.

# The repository root, whatever folder the caller stands in.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# Prints the first interpreter that really runs and has a supported version: a pyenv shim may exist and still fail.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
        [ "$candidate" != "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is no Python 3.10-3.13. Unset it or name another."
    done
    fail "no Python 3.10-3.13 was found. Install one, or name it: PYTHON=/path/to/python3 $0"
}

# make_venv PYTHON FOLDER: with the standard library where it can, with virtualenv where that is what the machine has.
make_venv() {
    local python=$1 folder=$2
    rm -rf "$folder"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv "$folder"
    elif "$python" -c 'import virtualenv' 2>/dev/null; then
        "$python" -m virtualenv --quiet "$folder"
    else
        fail "$python cannot make virtual environments. Install its venv module (Debian, Ubuntu: apt install python3-venv)."
    fi
}

# ready_venv NAME EXTRAS: leaves the environment's interpreter in $venv_python, installing only what is not there yet.
# The stamp is written last, so an interrupted installation is made anew; it names everything the content depends on.
ready_venv() {
    local folder=$root/.venv-$1 extras=$2 python wanted
    venv_python=$folder/bin/python
    wanted="$extras $root $(sha256sum "$root/pyproject.toml" | cut -d ' ' -f 1)"
    if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$wanted" ] && "$venv_python" -c '' 2>/dev/null; then
        return
    fi
    python=$(find_python)
    say "Making $folder with $("$python" --version) and installing edge-autoglm[$extras] ..."
    make_venv "$python" "$folder"
    "$venv_python" -m pip install --disable-pip-version-check --editable "$root[$extras]" >&2 ||
        fail "the installation failed. Check the network (or the package index that pip is set up for) and run $0 again."
    printf '%s\n' "$wanted" >"$folder/stamp"
}
