# For other scripts: the toolchain that makes components of Python, in a folder of its own that stays.

componentize_py_version=0.25.1

# Installs componentize-py from PyPI, if it is not there. Fails, with a reason, where that cannot be.
fetch_componentize_py() {
    local folder="${XDG_CACHE_HOME:-$HOME/.cache}/flusso-host/componentize-py-$componentize_py_version"
    componentize_py="$folder/bin/componentize-py"
    [ -x "$componentize_py" ] && return
    command -v python3 >/dev/null || { printf 'there is no python3\n' >&2; return 1; }
    rm -rf "$folder"
    python3 -m venv "$folder" >&2 && "$folder/bin/pip" install -q --disable-pip-version-check "componentize-py==$componentize_py_version" >&2 && return
    rm -rf "$folder"
    return 1
}
