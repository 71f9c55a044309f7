//! What `check` finds in a cluster before a start, and that it changes nothing there.

use flusso_tests::search::Search;
use flusso_tests::{Ended, Host, Postgres};
use serde_json::{Value, json};

/// A table that the cluster takes as it is, and one whose names it does not take.
const TABLES: &str = r#"
    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE TABLE "Odd" (id int PRIMARY KEY, "_source" text, "a." text);
    INSERT INTO users VALUES (1, 'Ada');
    INSERT INTO "Odd" VALUES (1, 'x', 'y');"#;

struct Deployment {
    host: Host,
    search: Search,
    prefix: String,
    _database: Postgres,
}

impl Deployment {
    fn open(test: &str) -> Self {
        let (database, search) = (Postgres::with(TABLES), Search::shared());
        let host = Host::on(&database.url());
        let prefix = format!("{test}_{}_", std::process::id());
        let deployment = Self { host, search, prefix, _database: database };
        deployment.configure(&deployment.search.url(), "");
        deployment
    }

    fn configure(&self, url: &str, settings: &str) {
        let prefix = &self.prefix;
        let text = format!(
            "prefix = \"{prefix}\"\n[source]\nplugin = \"pg\"\n[sinks.search]\nplugin = \"opensearch\"\nurl = \"{url}\"\nnumber_of_replicas = 0\n{settings}\n"
        );
        self.host.file("flusso.toml", &text);
    }

    fn ask(&self, method: &str, path: &str, body: &Value) {
        let (status, said) = self.search.ask(method, path, &body.to_string());
        assert_eq!(status, 200, "{method} {path}: {said}");
    }

    /// What `check` finds about the cluster: level, code, subject, and what helps.
    fn found(&self) -> Vec<(String, String, String, Option<String>)> {
        let checked: Ended = self.host.run(&["check", "--format", "json"]);
        let text = checked.lines.join("\n");
        let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {checked:#?}"));
        let word = |it: &Value, key: &str| it[key].as_str().map(str::to_owned);
        let mut found: Vec<_> = all
            .iter()
            .map(|it| {
                let word = |key| word(it, key).unwrap_or_else(|| panic!("{it}"));
                (word("level"), word("code"), word("subject"), it["remedy"].as_str().map(str::to_owned))
            })
            .filter(|(_, code, subject, _)| {
                (subject.starts_with("index ") && code != "documents") || subject.starts_with("cluster ")
            })
            .collect();
        found.sort();
        let fails = found.iter().any(|(level, ..)| level == "error");
        assert_eq!(checked.code, Some(if fails { 2 } else { 0 }), "{checked:#?}");
        found
    }

    /// The same without what is as it should be, and without what helps.
    fn wrong(&self) -> Vec<(String, String, String)> {
        let found = self.found().into_iter().filter(|(level, ..)| level != "ok");
        found.map(|(level, code, subject, _)| (level, code, subject)).collect()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.search.clean(&self.prefix);
        }
    }
}

fn finding(level: &str, code: &str, subject: &str) -> (String, String, String) {
    (level.to_owned(), code.to_owned(), subject.to_owned())
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn names_that_the_cluster_does_not_take_and_what_is_closed_or_blocked_are_found_before_a_start() {
    let shop = Deployment::open("checked");
    let odd = shop.found().into_iter().map(|(.., subject, _)| subject).find(|subject| subject.contains("odd")).unwrap();
    let users = format!("index {}users", shop.prefix);
    let renamed = vec![
        finding("warning", "field-renamed", &odd),
        finding("warning", "field-renamed", &odd),
        finding("warning", "index-renamed", &odd),
    ];
    assert_eq!(shop.wrong(), renamed);
    assert!(shop.search.indexes(&shop.prefix).is_empty(), "a check makes nothing");

    // An index of somebody else has the plain name.
    let plain = format!("{}users", shop.prefix);
    shop.ask("PUT", &format!("/{plain}"), &json!({}));
    assert!(shop.wrong().contains(&finding("warning", "plain-name-taken", &users)), "{:?}", shop.wrong());
    shop.ask("DELETE", &format!("/{plain}"), &Value::Null);

    shop.host.run(&["--once"]).succeeded();
    assert_eq!(shop.wrong(), renamed);
    let mut names = shop.search.indexes(&format!("{plain}_"));
    names.sort();
    let index = names.pop().unwrap();

    for (block, code) in [("write", "index-blocked"), ("read_only_allow_delete", "index-blocked")] {
        shop.ask("PUT", &format!("/{index}/_settings"), &json!({ format!("index.blocks.{block}"): true }));
        let blocked = shop.found().into_iter().find(|(level, ..)| level == "error").unwrap();
        let remedy = format!("PUT /{index}/_settings {{ \"index.blocks.{block}\": null }}");
        assert_eq!(blocked, ("error".into(), code.into(), users.clone(), Some(remedy.clone())));
        let (request, body) = remedy.split_once(" {").unwrap();
        let (method, path) = request.split_once(' ').unwrap();
        shop.ask(method, path, &serde_json::from_str(&format!("{{{body}")).unwrap());
        assert_eq!(shop.wrong(), renamed, "what helps against {block} helps");
    }
    shop.ask("POST", &format!("/{index}/_close"), &Value::Null);
    let closed = shop.found().into_iter().find(|(level, ..)| level == "error").unwrap();
    assert_eq!(closed, ("error".into(), "index-closed".into(), users.clone(), Some(format!("POST /{index}/_open"))));
    shop.ask("POST", &format!("/{index}/_open"), &Value::Null);

    let alias = index.trim_end_matches("_1");
    shop.ask("PUT", &format!("/{}theirs", shop.prefix), &json!({}));
    let actions = json!({ "actions": [{ "add": { "index": format!("{}theirs", shop.prefix), "alias": alias } }] });
    shop.ask("POST", "/_aliases", &actions);
    assert!(shop.wrong().iter().any(|(_, code, _)| code == "alias-changed"), "{:?}", shop.wrong());
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn a_pipeline_or_an_analysis_that_the_cluster_does_not_have_is_found_before_a_start() {
    let shop = Deployment::open("lacking");
    shop.configure(&shop.search.url(), "pipeline = \"nowhere\"\ntext_analysis = \"icu\"");
    let cluster = format!("cluster {}", shop.search.url().trim_start_matches("http://"));
    let wrong: Vec<_> = shop.wrong().into_iter().filter(|(level, ..)| level == "error").collect();
    let expected = [finding("error", "analysis-missing", &cluster), finding("error", "pipeline-missing", &cluster)];
    assert_eq!(wrong, expected);
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn a_cluster_that_does_not_answer_is_found_before_a_start() {
    let shop = Deployment::open("away");
    shop.configure("http://127.0.0.1:9", "");
    let checked = shop.host.run(&["check"]);
    let text = checked.lines.join("\n");
    assert!(text.contains("127.0.0.1:9") && text.contains("[unreachable]"), "{text}");
    assert_ne!(checked.code, Some(0));
}
