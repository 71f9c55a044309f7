//! `files`: CSV and JSON lines in a folder, followed like a database, with documents of several files.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flusso_tests::{Host, native, plugin};
use serde_json::{Value, json};

/// A host over a folder of files, with the orders of a shop as documents.
fn host(settings: &str) -> Host {
    let host = Host::new();
    host.file(
        "flusso.toml",
        &format!(
            "[source]\nplugin = \"{}\"\npath = \"shop\"\ninterval_ms = 20\n{settings}\n[builder]\nplugin = \"{}\"\n[sinks.out]\nplugin = \"ndjson\"\npath = \"out\"\n",
            plugin("plugins/files"),
            plugin("tests/guests/shop")
        ),
    );
    std::fs::create_dir_all(host.folder().join("shop")).unwrap_or_else(|error| panic!("{error}"));
    std::fs::create_dir_all(host.folder().join("out")).unwrap_or_else(|error| panic!("{error}"));
    host
}

fn write(host: &Host, name: &str, text: &str) {
    let path = host.folder().join("shop").join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn append(host: &Host, name: &str, text: &str) {
    let file = std::fs::OpenOptions::new().append(true).open(host.folder().join("shop").join(name));
    file.and_then(|mut file| file.write_all(text.as_bytes())).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn shop(host: &Host) {
    write(host, "users.csv", "id,name\n1,Ada\n2,\"Grace, Admiral\"\n");
    write(host, "products.csv", "id,title\n1,Mug\n2,Tea\n");
    write(
        host,
        "orders.ndjson",
        "{\"id\":1,\"user_id\":1,\"status\":\"open\"}\n{\"id\":2,\"user_id\":2,\"status\":\"paid\"}\n",
    );
    write(host, "order_items/1.csv", "id,order_id,product_id,quantity,price\n1,1,1,2,8.50\n2,1,2,1,5.20\n");
    write(host, "order_items/2.csv", "id,order_id,product_id,quantity,price\n3,2,2,4,5.20\n");
    write(host, "categories.csv", "id,parent_id,name\n");
}

/// The documents that hold at the end of the file, by id.
fn documents(host: &Host) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(host.folder().join("out/orders.ndjson")).unwrap_or_default();
    let mut documents = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let id = line["id"].as_str().unwrap_or_default().to_owned();
        match line["op"].as_str() {
            Some("upsert") => drop(documents.insert(id, line["document"].clone())),
            Some("delete") => drop(documents.remove(&id)),
            _ => documents.clear(),
        }
    }
    documents
}

#[test]
fn documents_are_made_of_several_files_and_follow_them() {
    let host = host("");
    shop(&host);
    let once = || drop(host.run(&["--once"]).succeeded());
    once();
    let seeded = documents(&host);
    assert_eq!(seeded.keys().collect::<Vec<_>>(), ["1", "2"], "{seeded:?}");
    assert!(
        seeded["2"].to_string().contains("Grace, Admiral") && seeded["2"].to_string().contains("Tea"),
        "{seeded:?}"
    );
    // While no host runs: a line that is appended, a file that is replaced, one that comes, a row that goes.
    append(&host, "orders.ndjson", "{\"id\":3,\"user_id\":1,\"status\":\"new\"}\n");
    write(&host, "products.csv", "id,title\n1,Mug\n2,Green tea\n");
    write(&host, "order_items/3.csv", "id,order_id,product_id,quantity,price\n4,3,1,1,1\n");
    write(&host, "users.csv", "id,name\n1,Ada\n");
    once();
    let now = documents(&host);
    assert_eq!(now.len(), 3, "{now:?}");
    assert!(now["1"].to_string().contains("Green tea") && now["2"].to_string().contains("Green tea"));
    assert!(!now["2"].to_string().contains("Grace") && now["3"].to_string().contains("Mug"), "{now:?}");
    // A row that goes, and nothing else.
    write(&host, "users.csv", "id,name\n");
    once();
    assert!(!documents(&host)["1"].to_string().contains("Ada"), "{:?}", documents(&host));
    // And while one does.
    let running = host.start(&[]);
    running.wait_for_log("ready");
    let wait = |what: &str, is: &dyn Fn(&BTreeMap<String, Value>) -> bool| {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while !is(&documents(&host)) {
            assert!(std::time::Instant::now() < end, "{what}: {:?}", documents(&host));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    append(&host, "orders.ndjson", "{\"id\":4,\"user_id\":1,\"status\":\"new\"}\n{\"id\":5,\"user_");
    wait("a line that is whole", &|documents| documents.contains_key("4") && !documents.contains_key("5"));
    append(&host, "orders.ndjson", "id\":1,\"status\":\"new\"}\n");
    wait("the rest of a line", &|documents| documents.contains_key("5"));
    write(&host, "users.csv", "id,name\n1,Ada\n");
    wait("a file that grew", &|documents| documents["1"].to_string().contains("Ada"));
    write(&host, "users.csv", "id,name\n1,Adele, or so\n".replace(", or", " or").as_str());
    wait("a row that became longer", &|documents| documents["1"].to_string().contains("Adele or so"));
    write(&host, "users.csv", "id,name\n1,Blaise\n2,Grace\n3,Somebody\n");
    wait("a longer file in the place of another", &|documents| documents["1"].to_string().contains("Blaise"));
    std::fs::remove_file(host.folder().join("shop/order_items/1.csv")).unwrap_or_else(|error| panic!("{error}"));
    wait("a file that goes", &|documents| !documents["1"].to_string().contains("Green tea"));
    write(&host, "orders.ndjson", "{\"id\":2,\"user_id\":1,\"status\":\"paid\"}\n");
    wait("rows that go", &|documents| documents.keys().eq(["2"]));
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn many_rows_take_the_memory_of_their_keys_at_a_restart_too() {
    let host = host("limits = { memory = \"24MiB\" }");
    shop(&host);
    let products: String = (1..=100_000).map(|id| format!("{id},product {id}\n")).collect();
    write(&host, "products.csv", &format!("id,title\n{products}"));
    host.run(&["--once"]).succeeded();
    // All of them are other rows by now.
    write(&host, "products.csv", &format!("id,title\n{}", products.replace("product", "thing")));
    host.run(&["--once"]).succeeded();
    assert!(documents(&host)["1"].to_string().contains("thing 1"), "{:?}", documents(&host));
}

#[test]
fn packed_files_give_the_same() {
    let (plain, packed) = (host(""), host(""));
    shop(&plain);
    shop(&packed);
    for (program, name) in [("gzip", "users.csv"), ("gzip", "order_items/1.csv"), ("gzip", "orders.ndjson")] {
        let ended = Command::new(program).arg(packed.folder().join("shop").join(name)).status();
        assert!(ended.is_ok_and(|status| status.success()), "{program}");
    }
    plain.run(&["--once"]).succeeded();
    packed.run(&["--once"]).succeeded();
    assert_eq!(documents(&plain), documents(&packed));
    assert_eq!(documents(&plain).len(), 2);
}

#[test]
fn what_is_no_row_is_said_with_file_line_and_remedy() {
    for (name, text, words) in [
        (
            "orders.ndjson",
            "{\"id\":1,\"user_id\":1,\"status\":\"open\"}\n{\"id\":2,\n",
            &["orders.ndjson, line 2", "on_bad_row"][..],
        ),
        (
            "users.csv",
            "id,name\n1,Ada\n2,Grace,Admiral\n",
            &["users.csv, line 3", "3 values, and the header has 2 columns"],
        ),
        ("users.csv", "id,name\n1,Ada\n1,Grace\n", &["users.csv, line 3", "the key 1 is there twice"]),
        ("users.csv", "id,name,id\n", &["users.csv, line 1", "\"id\""]),
        ("users.csv", "number,name\n1,Ada\n", &["users.csv, line 2", "tables.users.key"]),
        ("users.ndjson", "{\"id\":1}\n", &["users.csv", "users.ndjson", "both table `users`"]),
    ] {
        let host = host("");
        shop(&host);
        write(&host, name, text);
        host.run(&["--once"]).refused(1, words);
        assert!(documents(&host).is_empty());
    }
    let host = host("on_bad_row = \"skip\"");
    shop(&host);
    write(&host, "users.csv", "id,name\n1,Ada\n2,Grace,Admiral\n");
    let ended = host.run(&["--once"]).succeeded();
    assert!(ended.log.contains("a line is left out") && ended.log.contains("users.csv, line 3"), "{}", ended.log);
    assert_eq!(documents(&host).len(), 2);
}

#[test]
fn the_index_equals_the_files_however_often_the_host_is_killed() {
    let host = Host::new();
    std::fs::create_dir_all(host.folder().join("shop")).unwrap_or_else(|error| panic!("{error}"));
    shop(&host);
    host.file(
        "flusso.toml",
        &format!(
            "[source]\nplugin = \"{}\"\npath = \"shop\"\ninterval_ms = 20\n[builder]\nplugin = \"{}\"\n[sinks.search]\nplugin = \"{}\"\ntrusted = true\npath = \"index\"\n",
            plugin("plugins/files"),
            plugin("tests/guests/shop"),
            native("plugins/tantivy")
        ),
    );
    let mut titles: Vec<String> = (0..40).map(|number| format!("product {number}")).collect();
    // Order and its items: which product, in which file.
    let mut orders: BTreeMap<u32, Vec<usize>> =
        (0..2_000).map(|number| (number, vec![number as usize % 40, (number as usize + 7) % 40])).collect();
    let write_all = |titles: &[String], orders: &BTreeMap<u32, Vec<usize>>| {
        let products: String = titles.iter().enumerate().map(|(id, title)| format!("{id},{title}\n")).collect();
        write(&host, "products.csv", &format!("id,title\n{products}"));
        let lines: String =
            orders.keys().map(|id| format!("{{\"id\":{id},\"user_id\":1,\"status\":\"open\"}}\n")).collect();
        write(&host, "orders.ndjson", &lines);
        let items: String = orders
            .iter()
            .flat_map(|(id, products)| {
                products
                    .iter()
                    .enumerate()
                    .map(move |(at, product)| format!("{},{id},{product},1,1.5\n", id * 10 + at as u32))
            })
            .collect();
        write(&host, "order_items/1.csv", &format!("id,order_id,product_id,quantity,price\n{items}"));
    };
    std::fs::remove_file(host.folder().join("shop/order_items/2.csv")).unwrap_or_else(|error| panic!("{error}"));
    write_all(&titles, &orders);
    for round in 0..20_usize {
        let running = host.start(&[]);
        for change in 0..3 {
            titles[(round * 3 + change) % 40] = format!("round {round} {change}");
            orders.remove(&((round * 31 + change) as u32));
            orders.insert(10_000 + (round * 3 + change) as u32, vec![round % 40]);
            if let Some(products) = orders.get_mut(&(1_000 + round as u32)) {
                products.rotate_left(1);
            }
            write_all(&titles, &orders);
            std::thread::sleep(Duration::from_millis(19 * ((round as u64 * 5 + change as u64) % 13)));
        }
        running.kill();
    }
    host.run(&["--once"]).succeeded();
    let found = host.run(&["search", "orders", "*", "--limit", "10000", "--format", "json"]).succeeded();
    let found: Value = serde_json::from_str(&found.lines.join("\n")).unwrap_or_else(|error| panic!("{error}"));
    let hits = found["hits"].as_array().cloned().unwrap_or_default();
    assert_eq!(hits.len(), orders.len());
    for hit in hits {
        let id: u32 = hit["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
        let mut wanted: Vec<Value> = orders[&id].iter().map(|product| json!(titles[*product])).collect();
        let mut is: Vec<Value> =
            hit["document"]["items"].as_array().into_iter().flatten().map(|item| item["title"].clone()).collect();
        wanted.sort_by_key(Value::to_string);
        is.sort_by_key(Value::to_string);
        assert_eq!(is, wanted, "{id}: {}", hit["document"]);
    }
}
