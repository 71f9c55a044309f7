//! `examples/custom-builder`, as its README says: its documents are those of SQL, after whatever happens to the tables.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use flusso_tests::{Ended, Host, Postgres, plugin};
use serde_json::Value;

const TABLES: &str = include_str!("../../examples/custom-builder/tables.sql");

type Documents = BTreeMap<String, Value>;

fn wanted(database: &Postgres) -> Documents {
    let sql = "WITH RECURSIVE up(id, above, path) AS (
            SELECT id, parent_id, ARRAY[name] FROM categories
            UNION ALL SELECT up.id, c.parent_id, c.name || up.path FROM up JOIN categories c ON c.id = up.above),
        revenues AS (SELECT p.*, (SELECT coalesce(sum(s.price * s.quantity), 0) FROM sales s WHERE s.product_id = p.id) AS revenue
            FROM products p WHERE NOT retired)
        SELECT json_build_object('id', id, 'name', name, 'revenue', trim_scale(revenue),
            'categories', coalesce((SELECT path FROM up WHERE up.id = category_id AND above IS NULL), '{}'),
            'rank', 1 + (SELECT count(*) FROM revenues o WHERE o.category_id = r.category_id AND o.revenue > r.revenue))
        FROM revenues r";
    let rows = database.sql(sql);
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
    rows.map(|row| (row["id"].to_string(), row)).collect()
}

fn take(ended: &Ended, held: &mut Documents) -> usize {
    let lines = ended.documents();
    let count = lines.len();
    for line in lines {
        match line.op.as_str() {
            "clear" => held.clear(),
            "delete" => drop(held.remove(&line.id)),
            _ => drop(held.insert(line.id, line.document)),
        }
    }
    count
}

#[test]
fn paths_exact_totals_and_ranks_follow_every_table() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    let builder = plugin("examples/custom-builder");
    let words = ["--plugin", "pg", "--plugin", builder.as_str(), "--once"];
    let mut held = Documents::new();
    take(&host.run(&words).succeeded(), &mut held);
    assert_eq!(held, wanted(&database));
    for (statement, most) in [
        ("UPDATE categories SET name = 'Sawing' WHERE id = 2", 3),
        ("UPDATE categories SET parent_id = 4 WHERE id = 2", 3),
        ("INSERT INTO sales VALUES (100, 3, 7, 123456789012.3456)", 1),
        ("UPDATE sales SET product_id = 2 WHERE product_id = 1", 2),
        ("DELETE FROM sales WHERE id % 2 = 0", 5),
        ("UPDATE products SET category_id = 3 WHERE id = 4", 4),
        ("UPDATE products SET retired = true WHERE id = 2", 4),
        ("DELETE FROM sales WHERE product_id = 1; DELETE FROM products WHERE id = 1", 4),
        ("UPDATE products SET category_id = NULL WHERE id = 3; UPDATE products SET retired = false WHERE id = 2", 4),
        ("TRUNCATE sales", 5),
        ("INSERT INTO products VALUES (6, 'Jig saw', 2); INSERT INTO sales VALUES (1, 6, 3, 0.1), (2, 6, 1, 0.2)", 4),
    ] {
        database.sql(statement);
        let lines = take(&host.run(&words).succeeded(), &mut held);
        assert_eq!(held, wanted(&database), "{statement}");
        assert!((1..=most).contains(&lines), "{statement}: {lines} documents");
    }
}

#[test]
fn check_says_what_each_table_wakes_and_which_index_is_missing() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    let builder = plugin("examples/custom-builder");
    let words = ["check", "--plugin", "pg", "--plugin", builder.as_str()];
    let line = |of: &Ended, subject: &str| {
        let text = of.lines.join(" ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let subject = format!("table {subject} ");
        text.split(&subject).find(|line| line.starts_with("a change of a row")).unwrap_or_default().to_owned()
    };
    let checked = host.run(&words).succeeded();
    let sales = line(&checked, "public.sales");
    assert!(
        sales.starts_with(
            "a change of a row builds again those that looked for its product_id (before the change, from the link table); \
             the columns id, product_id, quantity, price count"
        ),
        "{:#?}",
        checked.lines
    );
    let products = line(&checked, "public.products");
    assert!(products.starts_with("a change of a row builds again its document of products, those that"), "{products}");
    assert!(!checked.lines.join("\n").contains("CREATE INDEX"), "{:#?}", checked.lines);

    database.sql("ALTER TABLE sales REPLICA IDENTITY FULL; DROP INDEX sales_product_id_idx");
    let checked = host.run(&words).succeeded();
    assert!(
        line(&checked, "public.sales")
            .starts_with("a change of a row builds again those that looked for its product_id; ")
    );
    let text = checked.lines.join("\n");
    assert!(text.contains("CREATE INDEX CONCURRENTLY ON \"public\".\"sales\" (\"product_id\")"), "{text}");
}
