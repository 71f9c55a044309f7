# For other scripts: the toolchains that make components of Python and of JavaScript, each in a folder of its own that stays.

componentize_py_version=0.25.1
componentize_js_version=0.23.0

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

# The same with componentize-js, from npm.
fetch_componentize_js() {
    local folder="${XDG_CACHE_HOME:-$HOME/.cache}/flusso-host/componentize-js-$componentize_js_version"
    componentize_js="$folder/node_modules/.bin/componentize-js"
    [ -x "$componentize_js" ] && return
    command -v npm >/dev/null || { printf 'there is no npm\n' >&2; return 1; }
    rm -rf "$folder"
    mkdir -p "$folder" && npm install --prefix "$folder" --no-fund --no-audit --silent "@bytecodealliance/componentize-js@$componentize_js_version" >&2 && return
    rm -rf "$folder"
    return 1
}

# Has the tests of a language run where its toolchain can be had: NAME, SETTING, then the command of tests.
test_language() {
    local language=$1 fetched
    shift
    case "$language" in python) fetched=fetch_componentize_py ;; *) fetched=fetch_componentize_js ;; esac
    if ! "$fetched"; then
        printf '\033[1m✗ SKIPPED: the test of the builder in %s, whose toolchain could not be installed\033[0m\n' "$language" >&2
        return 0
    fi
    FLUSSO_TEST_COMPONENTIZE_PY="${componentize_py:-}" FLUSSO_TEST_COMPONENTIZE_JS="${componentize_js:-}" \
        "$@" --test languages "in_$language" -- --ignored
}
