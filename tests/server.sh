# A throw-away PostgreSQL, for the scripts beside this file. Sourced, not run.
#
#   pg_bin=$(find_postgres) || …       the folder with PostgreSQL's programs
#   start_server                       sets work, port, server_pid; stopped by a trap, whatever happens, and before it
#                                      stop_others, where there is such a function

find_postgres() {
    local folder
    for folder in "${FLUSSO_TEST_PG_BIN:-}" \
        $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin 2>/dev/null | sort -rV) \
        $(dirname "$(command -v initdb 2>/dev/null || echo /nonexistent/initdb)"); do
        if [ -n "$folder" ] && [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && [ -x "$folder/psql" ]; then
            echo "$folder"
            return
        fi
    done
    return 1
}

start_server() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/flusso-tests.XXXXXX")
    chmod 755 "$work"
    server_pid=
    stop() {
        local status=$?
        trap - EXIT INT TERM
        if declare -F stop_others >/dev/null; then stop_others; fi
        if [ -n "$server_pid" ] && kill -0 "$server_pid" 2>/dev/null; then
            kill -INT "$server_pid" 2>/dev/null || true
            for _ in $(seq 100); do kill -0 "$server_pid" 2>/dev/null || break; sleep 0.1; done
            kill -KILL "$server_pid" 2>/dev/null || true
        fi
        wait 2>/dev/null || true
        if [ "$status" != 0 ] && [ -n "${FLUSSO_TEST_KEEP:-}" ]; then say "kept $work"; else rm -rf "$work"; fi
        exit "$status"
    }
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM

    if [ "$(id -u)" = 0 ]; then
        if id postgres >/dev/null 2>&1; then user=postgres; else user=nobody; fi
        # A login shell is refused to some of these users; su with a shell of our own is not.
        if command -v runuser >/dev/null; then as_server() { runuser -u "$user" -- "$@"; }
        elif command -v setpriv >/dev/null; then as_server() { setpriv --reuid "$user" --clear-groups -- "$@"; }
        else as_server() { su -s /bin/sh "$user" -c 'exec "$0" "$@"' -- "$@"; }; fi
    else
        user=$(id -un)
        as_server() { "$@"; }
    fi

    say "starting a throw-away server in $work (user $user)"
    mkdir "$work/tls" "$work/socket"
    (
        cd "$work/tls"
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=flusso tests authority" -keyout ca.key -out ca.crt \
            -addext basicConstraints=critical,CA:TRUE
        openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > server.ext
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -sha256 -extfile server.ext -out server.crt
        openssl req -newkey rsa:2048 -nodes -subj "/CN=flusso" -keyout client.key -out client.csr
        printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n' > client.ext
        openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -sha256 -extfile client.ext -out client.crt
        chmod 600 server.key client.key
    ) 2>"$work/openssl.log" || { cat "$work/openssl.log" >&2; fail "openssl could not make a certificate"; }
    [ "$(id -u)" = 0 ] && chown -R "$user" "$work"

    (cd "$work" && as_server "$pg_bin/initdb" --pgdata "$work/data" --username postgres --encoding UTF8 --locale C \
        --auth-local trust --auth-host scram-sha-256 --no-sync >"$work/initdb.log" 2>&1) || { cat "$work/initdb.log" >&2; fail "initdb failed"; }
    # The superuser of the tests comes in without a password; everybody else over TCP shows one.
    cat > "$work/pg_hba.conf" <<HBA
local all all trust
local replication all trust
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
HBA

    free_port() {
        local port
        for _ in $(seq 100); do
            port=$((20000 + RANDOM % 20000))
            if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
        done
        return 1
    }
    started=
    for _ in 1 2 3 4 5; do # the port may be taken between the look and the start
        port=$(free_port) || fail "no free port on 127.0.0.1"
        (cd "$work" && as_server "$pg_bin/postgres" -D "$work/data" -p "$port" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories="$work/socket" -c hba_file="$work/pg_hba.conf" \
            -c wal_level=logical -c max_replication_slots=100 -c max_wal_senders=100 -c max_prepared_transactions=10 -c max_connections=200 \
            -c fsync=off -c full_page_writes=off -c autovacuum_naptime=10s -c wal_sender_timeout=10s \
            -c ssl=on -c ssl_cert_file="$work/tls/server.crt" -c ssl_key_file="$work/tls/server.key" -c ssl_ca_file="$work/tls/ca.crt" \
            -c log_min_messages=warning >"$work/server.log" 2>&1) &
        launcher=$!
        for _ in $(seq 100); do
            if "$pg_bin/pg_isready" -q -h 127.0.0.1 -p "$port" 2>/dev/null && [ -s "$work/data/postmaster.pid" ]; then started=1; break; fi
            kill -0 "$launcher" 2>/dev/null || break
            sleep 0.1
        done
        [ -n "$started" ] && break
    done
    [ -n "$started" ] || { cat "$work/server.log" >&2; fail "the server did not start"; }
    server_pid=$(head -n 1 "$work/data/postmaster.pid")
}
