//! `flusso-host search` of what a cluster holds, and what `indexes remove` leaves of it.

use flusso_tests::search::Search;
use flusso_tests::{Host, Postgres};
use serde_json::Value;

const TABLES: &str = "CREATE TABLE users (id int PRIMARY KEY, name text, city text);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, title text);
    INSERT INTO users VALUES (1, 'Ada <Lovelace>', 'London'), (2, 'Blaise Pascal', 'Paris'), (3, 'Ada Byron', 'Paris');
    INSERT INTO orders VALUES (1, 1, 'Analytical engine'), (2, 2, 'Calculator')";

const SCHEMA: &str = "version: 1\ntable: users\nprimary_key: id\nfields:\n  - text: name\n  - keyword: city\n  - has_many: orders\n    table: orders\n    \
     primary_key: id\n    foreign_key: user_id\n    fields:\n      - text: title\n";

fn found(host: &Host, words: &[&str]) -> Value {
    let ended = host.run(&[&["search", "--format", "json"], words].concat()).succeeded();
    serde_json::from_str(&ended.lines.join("\n")).unwrap()
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn a_cluster_is_searched_also_in_its_lists_and_emptied_to_the_last_index() {
    let (database, search) = (Postgres::with(TABLES), Search::shared());
    let (host, prefix) = (Host::on(&database.url()), format!("searches_{}_", std::process::id()));
    host.file("users.schema.yml", SCHEMA);
    let text = format!(
        "prefix = \"{prefix}\"\n[source]\nplugin = \"pg\"\n[sinks.search]\nplugin = \"opensearch\"\nurl = \"{}\"\nnumber_of_replicas = 0\n\
         [[index]]\nname = \"users\"\nschema = \"users.schema.yml\"\n",
        search.url()
    );
    host.file("flusso.toml", &text);
    host.run(&["search", "users", "ada"]).refused(2, &["has no index", &format!("{prefix}users")]);
    host.run(&["--once"]).succeeded();
    for (query, wanted) in [
        ("ada", &["1", "3"][..]),
        ("ada AND city:Paris", &["3"]),
        ("engine", &["1"]),
        ("orders.title:calculator", &["2"]),
        ("nobody", &[]),
    ] {
        let answer = found(&host, &["users", query]);
        let mut ids: Vec<&str> =
            answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(
            (ids.as_slice(), answer["total"].as_u64()),
            (wanted, Some(wanted.len() as u64)),
            "{query}: {answer}"
        );
    }
    let best = found(&host, &["users", "lovelace", "--limit", "1"]);
    assert_eq!(best["hits"][0]["highlights"]["name"], "Ada &lt;<b>Lovelace</b>&gt;");
    assert_eq!(best["hits"][0]["document"]["orders"][0]["title"], "Analytical engine");
    assert_eq!(found(&host, &["users", "engine"])["hits"][0]["highlights"]["orders.title"], "Analytical <b>engine</b>");
    assert_eq!(
        found(&host, &["users", "*", "--limit", "2", "--offset", "2"])["hits"].as_array().map(Vec::len),
        Some(1)
    );
    host.run(&["search", "users", "name:("]).refused(2, &["query", "name:("]);

    let there = || search.ask("GET", &format!("/{prefix}*"), "").1.as_object().unwrap().len();
    assert_eq!(there(), 2, "the index, and what remembers that it is seeded");
    let held = host.run(&["indexes", "--format", "json"]).succeeded().lines.join("\n");
    let held: Value = serde_json::from_str(&held).unwrap();
    let name = held["sinks"][0]["holds"][0]["name"].as_str().unwrap().to_owned();
    host.run(&["indexes", "remove", &name, "--force"]).succeeded();
    assert_eq!(there(), 0, "nothing of the deployment is left");
}
