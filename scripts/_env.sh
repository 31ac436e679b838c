# Sourced by the other scripts, from the project's folder: makes sure that .venv holds what requirements.lock says.

# Written when the environment is complete; it holds for this folder (the programs in it name their own path), this lock
# and this description of the project.
environment_stamp() {
    printf '%s %s' "$PWD" "$(cat requirements.lock pyproject.toml | cksum)"
}

prepare_environment() {
    if [ -x .venv/bin/python ] && [ "$(cat .venv/regulars-stamp 2>/dev/null)" = "$(environment_stamp)" ]; then
        return
    fi
    for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$python" scripts/bootstrap.py "$(environment_stamp)" || exit 1
            return
        fi
    done
    echo "Regulars needs Python 3.11 or newer; none was found as python3 or python3.11 to python3.14." >&2
    exit 1
}

prepare_environment

# Containers often forbid to keep compiled modules; then each of our programs would compile two thousand for seconds.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
    unset PYTHONDONTWRITEBYTECODE
    export PYTHONPYCACHEPREFIX="$PWD/.venv/pycache"
fi
