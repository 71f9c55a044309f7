# The programs that are measured, for the scripts beside this file. Sourced after server.sh, not run.
#
#   build_programs [PLUGIN…]   sets FLUSSO_TEST_HOST, and plugins to the paths of theirs (pg if none is named), built unless given
#   share_with_tests    after start_server: where the tests find everything
#   find_ancestor       sets FLUSSO_TEST_ANCESTOR: flusso-cli 0.15.1, installed if it is missing

target="${CARGO_TARGET_DIR:-$PWD/target}"
case "$target" in /*) ;; *) target="$PWD/$target" ;; esac
pg_bin=$(find_postgres) || fail "PostgreSQL's programs (initdb, postgres, psql) are not to be found; set FLUSSO_TEST_PG_BIN"

build_programs() {
    local name folder
    plugins=()
    if [ -z "${FLUSSO_TEST_HOST:-}" ]; then
        say "building"
        # As tests/run does: one resolution of features, so wasmtime is built once.
        cargo build --locked --release --workspace --bins --tests
        export FLUSSO_TEST_HOST="$target/release/flusso-host"
        folder="$target/plugins-measured"
        for name in "${@:-pg}"; do "$FLUSSO_TEST_HOST" plugin build "plugins/$name" --out "$folder"; done
    else
        folder="${FLUSSO_TEST_PLUGINS:?the folder with its plugins}"
        cargo build --locked --release -p flusso-tests
    fi
    for name in "${@:-pg}"; do plugins+=("$folder/$name.wasm"); done
}

share_with_tests() {
    mkdir "$work/plugins"
    cp "${plugins[@]}" "$work/plugins/"
    export FLUSSO_TEST_PLUGINS="$work/plugins"
    export FLUSSO_TEST_CACHE="$work/cache"
    export FLUSSO_TEST_DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres"
    export FLUSSO_TEST_PG_BIN="$pg_bin"
}

find_ancestor() {
    if [ -z "${FLUSSO_TEST_ANCESTOR:-}" ]; then
        local root="$target/ancestor"
        if [ ! -x "$root/bin/flusso" ]; then
            say "installing flusso-cli 0.15.1 (takes some minutes)"
            # Its own profile asks for a small program; it is compared at its fastest.
            CARGO_TARGET_DIR="$root/target" CARGO_PROFILE_RELEASE_OPT_LEVEL=3 \
                cargo install flusso-cli --version 0.15.1 --locked --root "$root"
            rm -rf "$root/target"
        fi
        export FLUSSO_TEST_ANCESTOR="$root/bin/flusso"
    fi
    say "the ancestor: $("$FLUSSO_TEST_ANCESTOR" --version)"
}
