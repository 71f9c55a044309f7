//! What people type into a search box, as plain `match` queries on a catalogue with the default mapping.

use std::collections::BTreeSet;

use flusso_tests::search::Search;
use flusso_tests::{Host, Postgres};
use serde_json::json;

const CATALOGUE: [&str; 24] = [
    "T-Shirt blue",
    "Wi-Fi router",
    "L''Oréal shampoo",
    "shoes",
    "C++ primer",
    "C# in depth",
    "C for all",
    ".NET guide",
    "valve AB-00042",
    "valve AB-42000",
    "Levi''s jeans",
    "iPhone15 case",
    "PowerBank",
    "Café crème",
    "東京タワー",
    "Disney+ card",
    "ASP.NET core",
    "rock''n''roll",
    "x_ray tube",
    "vitamin B+C",
    "cable 3m",
    "L’avion rouge",
    "tea",
    "(used) phone",
];

/// What is typed, and which lines of the catalogue it finds, counted from 1.
const TYPED: [(&str, &[i32]); 46] = [
    ("tshirt", &[1]),
    ("t-shirt", &[1]),
    ("T-Shirt", &[1]),
    ("t shirt", &[1]),
    ("shirt", &[1]),
    ("TSHIRT", &[1]),
    ("wifi", &[2]),
    ("wi-fi", &[2]),
    ("WiFi", &[2]),
    ("fi", &[2]),
    ("router", &[2]),
    ("loreal", &[3]),
    ("oreal", &[3]),
    ("L'Oréal", &[3]),
    ("l’oreal", &[3]),
    ("LOREAL", &[3]),
    ("shoe", &[]),
    ("shoes", &[4]),
    ("c++", &[5]),
    ("C++", &[5]),
    ("c#", &[6]),
    ("csharp", &[6]),
    ("c", &[7, 20]),
    (".net", &[8]),
    ("dotnet", &[8]),
    ("net", &[8, 17]),
    ("42", &[9]),
    ("00042", &[9]),
    ("AB-00042", &[9]),
    ("ab00042", &[9]),
    ("ab-42", &[9]),
    ("42000", &[10]),
    ("ab", &[9, 10]),
    ("levis", &[11]),
    ("levi", &[11]),
    ("levi's", &[11]),
    ("iphone", &[12]),
    ("iphone 15", &[12]),
    ("power bank", &[13]),
    ("powerbank", &[13]),
    ("cafe", &[14]),
    ("京", &[15]),
    ("disney", &[16]),
    ("xray", &[19]),
    ("3m", &[21]),
    ("used", &[24]),
];

/// A language joins the forms of a word; the analysis of flusso 0.15 stays, under the name that its index had.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn what_people_type_is_found() {
    let rows = CATALOGUE.iter().enumerate().map(|(at, name)| format!("({}, '{name}')", at + 1));
    let rows = rows.collect::<Vec<_>>().join(",");
    let database = Postgres::with(&format!(
        "CREATE TABLE goods (id int PRIMARY KEY, name text NOT NULL);
         INSERT INTO goods VALUES {rows}, (100, repeat('n', 400));"
    ));
    let (host, search) = (Host::on(&database.url()), Search::shared());
    let prefix = format!("typed_{}_", std::process::id());
    let seed = |settings: &str| {
        host.file(
            "flusso.toml",
            &format!(
                "prefix = \"{prefix}\"\n[source]\nplugin = \"pg\"\nconnection_url = {{ env = \"DATABASE_URL\" }}\n[sinks.search]\nplugin = \"opensearch\"\nurl = \"{}\"\nnumber_of_replicas = 0\n{settings}\n",
                search.url()
            ),
        );
        host.run(&["--once"])
    };
    let ask = |query: serde_json::Value| -> BTreeSet<i32> {
        let body = json!({ "size": 100, "_source": false, "query": query }).to_string();
        let (_, answer) = search.ask("POST", &format!("/{prefix}goods/_search"), &body);
        let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
        hits.iter().map(|hit| hit["_id"].as_str().unwrap().parse().unwrap()).collect()
    };
    let typed = |words: &str| ask(json!({ "match": { "name": { "query": words, "operator": "and" } } }));

    seed("").succeeded();
    let wrong: Vec<String> = TYPED
        .iter()
        .map(|(words, ids)| (words, ids.iter().copied().collect::<BTreeSet<i32>>(), typed(words)))
        .filter(|(_, expected, found)| expected != found)
        .map(|(words, expected, found)| format!("{words}: {found:?} instead of {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(ask(json!({ "term": { "name.keyword": "n".repeat(400) } })), BTreeSet::from([100]), "a long name");
    assert_eq!(ask(json!({ "match_phrase": { "name": "wi-fi router" } })), BTreeSet::from([2]), "a phrase");

    seed("language = \"english\"").succeeded();
    assert_eq!(typed("shoe"), BTreeSet::from([4]), "a language joins the forms of a word");
    seed("languages = { goods = \"french\" }").succeeded();
    assert_eq!(typed("l'avion"), BTreeSet::from([22]), "an article is left out");
    assert_eq!(typed("avions"), BTreeSet::from([22]));
    seed("text_analysis = \"builtin\"").succeeded();
    assert_eq!(typed("tshirt"), BTreeSet::new(), "as it was in flusso 0.15");
    seed("language = \"germn\"").refused(2, &["did you mean \"german\"?"]);
    search.clean(&prefix);
}
