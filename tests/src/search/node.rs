//! A node of a test's own, for what cannot be done to the one that all tests share.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Search;
use crate::given;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(180);

/// A cluster of one node on `127.0.0.1`, whose data survives its end. Killed when dropped.
#[derive(Debug)]
pub struct Node {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Node {
    /// Starts one with its data in a folder.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.unwrap_or_else(|error| panic!("no free port: {error}")).port();
        let mut node = Self { folder: folder.to_path_buf(), port, child: None };
        node.resume();
        node
    }

    /// How it is asked.
    pub fn search(&self) -> Search {
        Search::at(&format!("127.0.0.1:{}", self.port))
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }

    /// Starts it again, where it was.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("node.log"));
        let log = log.unwrap_or_else(|error| panic!("the node's log: {error}"));
        let home = given("FLUSSO_TEST_OPENSEARCH_HOME");
        let child = Command::new("java")
            .args(["-Xms384m", "-Xmx384m", "-cp", &format!("{home}:{home}/lib/*"), "Node"])
            .arg(&self.folder)
            .arg(self.port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("java: {error}")));
        let end = Instant::now() + PATIENCE;
        let ready = || self.search().try_ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s", "");
        while !ready().is_ok_and(|(status, _)| status == 200) {
            assert!(Instant::now() < end, "the node in {} does not start; see its log", self.folder.display());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
