//! Ours beside the ancestor into the same real cluster, and beside a loader that sends the same bodies with nothing in front
//! of it. Rounds are alternated, ours comes twice in each, and nothing counts before a search finds it.

use std::fs::File;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use flusso_tests::search::{Proxy, Search};
use flusso_tests::{Ancestor, Session, deployment};
use serde_json::{Value, json};

use crate::found::{Figures, show};
use crate::loader::Loader;
use crate::shop::{Running, Shop, Which};
use crate::timed::{cpu, number, resident, say};

/// Rows that one transaction changes.
pub(crate) const CHANGES: usize = 10_000;
/// Changes that are made one by one, and how far apart.
const LONE: usize = 200;
pub(crate) const APART: Duration = Duration::from_millis(50);
/// How long between two looks for one document, and for all of them: each look costs the cluster some of its time.
const SOON: Duration = Duration::from_millis(1);
const LATER: Duration = Duration::from_millis(50);
/// The longest anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

struct Bench<'a> {
    shop: &'a Shop,
    search: Search,
    session: Session,
    barriers: usize,
}

/// All of it.
pub(crate) fn print() {
    let shop = Shop::open(number("FLUSSO_MEASURE_USERS", 20_000));
    let port = shop.database.port().parse().unwrap_or_default();
    let session = Session::open(port, shop.database.name()).unwrap_or_else(|error| panic!("the database: {error}"));
    // The ancestor makes an object of a fixed kind of it, and refuses what is in it.
    let json = "- json: settings\n";
    let schema = include_str!("../../../shop/users.schema.yml");
    shop.host
        .file("users.schema.yml", &schema.replace(json, &format!("{json}        options: {{ enabled: false }}\n")));
    let mut bench = Bench { shop: &shop, search: Search::shared(), session, barriers: 0 };
    let loader = bench.record();
    // The cluster's own program gets faster while it runs: a round before the first that counts.
    loader.load(&bench.search, "bare_users");
    bench.run(Which::Ours, "ours_", &mut Figures::default());
    bench.run(Which::Theirs, "theirs_", &mut Figures::default());
    let (mut ours, mut theirs, mut bare, mut again) = (Figures::default(), Figures::default(), Vec::new(), Vec::new());
    for round in 0..number("FLUSSO_MEASURE_ROUNDS", 3).max(1) {
        bare.push(loader.load(&bench.search, "bare_users"));
        again.push(loader.again(&bench.search, "bare_users", shop.users.min(CHANGES)));
        bench.run(Which::Ours, "ours_", &mut ours);
        bench.run(Which::Theirs, "theirs_", &mut theirs);
        if round == 0 {
            bench.same_documents();
        }
        bench.run(Which::Ours, "ours_", &mut ours);
        bare.push(loader.load(&bench.search, "bare_users"));
    }
    for prefix in ["ours_", "theirs_", "bare_"] {
        bench.search.clean(prefix);
    }
    show(&shop, &loader, (&ours, &theirs), &bare, &again);
}

impl Bench<'_> {
    fn configure(&self, prefix: &str, url: &str) {
        let sink = format!("[sinks.search]\ntype = \"opensearch\"\nurl = \"{url}\"\nnumber_of_replicas = 0\n");
        let index = "[[index]]\nname = \"users\"\nschema = \"users.schema.yml\"\nenabled = true\n";
        let text = format!("prefix = \"{prefix}\"\n[source]\ntype = \"postgres\"\n{sink}{index}");
        self.shop.host.file("flusso.toml", &text);
    }

    fn start(&self, which: Which) -> Running {
        let out = self.shop.out(which);
        match which {
            Which::Theirs => Running::Theirs(Ancestor::start(self.shop.host.folder(), &self.shop.database.url(), &out)),
            Which::Ours | Which::Before => {
                let file = File::create(&out).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
                let mut command = self.shop.command(which, &[]);
                let child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::inherit()).spawn();
                Running::Ours(child.unwrap_or_else(|error| panic!("the host does not start: {error}")))
            }
        }
    }

    /// Seeds once through a proxy that keeps what is sent: that is what the loader sends.
    fn record(&self) -> Loader {
        let proxy = Proxy::before(self.search.address(), 1);
        proxy.record();
        self.search.clean("ours_");
        self.configure("ours_", &proxy.url());
        let running = self.start(Which::Ours);
        self.wait_until("ours_users", None, self.shop.users);
        let loader = Loader::of(&self.search, "ours_users", proxy.recorded());
        self.shop.end(running);
        loader
    }

    /// One program from its start: seeding, draining, lone changes.
    fn run(&mut self, which: Which, prefix: &str, figures: &mut Figures) {
        self.search.clean(prefix);
        self.search.ask("DELETE", "/flusso_meta", "");
        self.configure(prefix, &self.search.url());
        let index = format!("{prefix}users");
        let started = Instant::now();
        let running = self.start(which);
        self.wait_until(&index, None, self.shop.users);
        figures.seeds.push(started.elapsed());
        figures.seed_cpu.push(cpu(running.id()));
        self.wait_until_it_follows();
        self.barrier(&index);
        let to = self.shop.users.min(CHANGES);
        for (sql, times) in [
            (format!("UPDATE users SET balance = coalesce(balance, 0) + 1 WHERE id <= {to}"), &mut figures.drains),
            (format!("UPDATE order_items SET quantity = quantity % 100 + 1 WHERE id <= {CHANGES}"), &mut figures.items),
        ] {
            self.sql(&sql);
            let committed = Instant::now();
            self.barrier(&index);
            times.push(committed.elapsed());
        }
        figures.lone.extend(self.lone(&index));
        let (peak, live) = resident(running.id());
        (figures.peak, figures.live) = (figures.peak.max(peak), figures.live.max(live));
        self.shop.end(running);
    }

    fn sql(&mut self, sql: &str) {
        self.session.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The ancestor makes its slot only now: what is changed before is lost to it.
    fn wait_until_it_follows(&mut self) {
        let sql = "SELECT 1 FROM pg_replication_slots WHERE active AND database = current_database()";
        let end = Instant::now() + PATIENCE;
        while !self.session.rows(sql).is_ok_and(|rows| !rows.is_empty()) {
            assert!(Instant::now() < end, "nobody follows");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Commits a change behind all others, and waits until a search finds it.
    fn barrier(&mut self, index: &str) {
        self.barriers += 1;
        let word = format!("barrier {}", self.barriers);
        self.sql(&format!("UPDATE users SET name = '{word}' WHERE id = {}", self.shop.users));
        self.wait_until(index, Some(&word), 1);
    }

    /// Waits until a search finds so many documents: of this name, or all.
    fn wait_until(&self, index: &str, name: Option<&str>, count: usize) {
        let end = Instant::now() + PATIENCE;
        while found(&self.search, index, name) != count as u64 {
            assert!(Instant::now() < end, "{index} does not hold {count} documents within {PATIENCE:?}");
            std::thread::sleep(if name.is_some() { SOON } else { LATER });
        }
    }

    /// Changes at a steady rate: how long each takes from its commit until a search finds it.
    fn lone(&mut self, index: &str) -> Vec<Duration> {
        let (sender, receiver) = channel::<(String, Instant)>();
        let (search, index) = (self.search.clone(), index.to_owned());
        let watcher = std::thread::spawn(move || {
            let mut times = Vec::new();
            for (name, committed) in receiver {
                while found(&search, &index, Some(&name)) == 0 {
                    assert!(committed.elapsed() < PATIENCE, "{name} is not found");
                    std::thread::sleep(Duration::from_millis(1));
                }
                times.push(committed.elapsed());
            }
            times
        });
        let started = Instant::now();
        for change in 0..LONE {
            let due = started + APART * u32::try_from(change).unwrap_or_default();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.barriers += 1;
            let name = format!("lone {}", self.barriers);
            self.sql(&format!("UPDATE users SET name = '{name}' WHERE id = {}", 1 + change * 37 % self.shop.users));
            let _ = sender.send((name, Instant::now()));
        }
        drop(sender);
        watcher.join().unwrap_or_default()
    }

    /// Every document of both, as each left them; between the two only names and quantities were changed.
    fn same_documents(&self) {
        let read = |index: &str| self.search.documents(index).unwrap_or_default();
        let (mut ours, mut theirs) = (read("ours_users"), read("theirs_users"));
        assert_eq!((ours.len(), theirs.len()), (self.shop.users, self.shop.users), "every user once");
        let mut differences = Vec::new();
        for (id, theirs) in &mut theirs {
            let ours = ours.get_mut(id).unwrap_or_else(|| panic!("ours has no document {id}"));
            for one in [&mut *theirs, ours] {
                changed_by_us(one);
            }
            deployment::differences(id, theirs, ours, &mut differences);
        }
        assert!(differences.is_empty(), "{} differences: {:?}", differences.len(), differences.first());
        say("documents that differ from the ancestor's", &format!("0 of {}", theirs.len()), "0");
    }
}

/// Takes away what the runs themselves changed between one program's turn and the other's: also the order of what was
/// changed, where the schema asks for none.
fn changed_by_us(document: &mut Value) {
    if let Some(document) = document.as_object_mut() {
        for key in ["name", "balance"] {
            document.remove(key);
        }
        for order in document.get_mut("orders").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(items) = order.get_mut("items").and_then(Value::as_array_mut) else { continue };
            for item in items.iter_mut() {
                item.as_object_mut().map(|item| item.remove("quantity"));
            }
            items.sort_by_key(Value::to_string);
        }
    }
}

fn found(search: &Search, index: &str, name: Option<&str>) -> u64 {
    let query = match name {
        Some(name) => json!({ "query": { "term": { "name.keyword": name } } }),
        None => json!({ "query": { "match_all": {} } }),
    };
    let (_, answer) = search.ask("POST", &format!("/{index}/_count"), &query.to_string());
    answer.get("count").and_then(Value::as_u64).unwrap_or(0)
}
