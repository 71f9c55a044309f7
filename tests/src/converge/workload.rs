//! What writers do: random transactions over every table of the world.
//!
//! Ids are drawn from small ranges, so that rows meet: what one writer moves another deletes. Each `statement` leaves the
//! tables about as full as they were.

use super::random::Random;

/// A transaction: the pieces that go to the server one after the other.
pub(super) fn transaction(random: &mut Random, writer: u64) -> Vec<String> {
    let one = match random.below(1_000) {
        0..=2 => large(random),
        3..=4 => truncate(random),
        5..=24 => format!("BEGIN; {}; ROLLBACK", statements(random, 6)),
        25..=64 => savepoints(random),
        65..=104 => again(random),
        105..=124 => held(random),
        125..=134 => {
            let prepared = format!("BEGIN; {}; PREPARE TRANSACTION 'w{writer}'", statements(random, 4));
            let end = if random.once_in(5) { "ROLLBACK" } else { "COMMIT" };
            return vec![prepared, format!("{end} PREPARED 'w{writer}'")];
        }
        135..=499 => format!("BEGIN; {}; COMMIT", statements(random, 8)),
        _ => statement(random),
    };
    vec![one]
}

/// Ends what a writer had prepared when its session was lost.
pub(super) fn recover(writer: u64) -> String {
    format!("COMMIT PREPARED 'w{writer}'")
}

/// One that stays open while others commit.
fn held(random: &mut Random) -> String {
    let (before, after) = (statement(random), statement(random));
    let seconds = if random.once_in(20) { "1.5".to_owned() } else { format!("0.0{}", random.below(10)) };
    format!("BEGIN; {before}; SELECT pg_sleep({seconds}); {after}; COMMIT")
}

/// For the race of visibility: one row that no other transaction has touched for a while.
pub(super) fn lone(writer: u64, number: u64) -> String {
    let id = (number * 4 + writer) % 1_200;
    match number % 3 {
        0 => format!("UPDATE orders SET total = {number} WHERE id = {id}"),
        1 => format!(
            "UPDATE readings SET value = {number} WHERE sensor = uu({id} % 30) AND at = timestamptz '2023-01-01 00:00:00+00' + {id} % 300 * interval '1 minute'"
        ),
        _ => format!("UPDATE users SET name = 'lone {number}' WHERE id = {id} % 400"),
    }
}

fn statements(random: &mut Random, most: u64) -> String {
    let all: Vec<String> = (0..=random.below(most)).map(|_| statement(random)).collect();
    all.join("; ")
}

fn savepoints(random: &mut Random) -> String {
    let [before, undone, kept, after] = [(); 4].map(|()| statement(random));
    match random.below(3) {
        0 => format!("BEGIN; {before}; SAVEPOINT a; {undone}; ROLLBACK TO a; {after}; COMMIT"),
        1 => format!(
            "BEGIN; {before}; SAVEPOINT a; {kept}; SAVEPOINT b; {undone}; ROLLBACK TO b; RELEASE a; {after}; COMMIT"
        ),
        _ => format!(
            "BEGIN; SAVEPOINT a; {kept}; RELEASE a; SAVEPOINT b; {before}; SAVEPOINT c; {undone}; ROLLBACK TO b; COMMIT"
        ),
    }
}

/// One key deleted and inserted again, or changed there and back, in one transaction.
fn again(random: &mut Random) -> String {
    let (id, other) = (random.below(1_250), random.below(420));
    let what = match random.below(6) {
        0 => format!(
            "DELETE FROM orders WHERE id = {id}; INSERT INTO orders (id, user_id, status, total) VALUES ({id}, {other}, 'paid', 7)"
        ),
        1 => format!(
            "UPDATE orders SET id = id + 5000 WHERE id = {id}; UPDATE orders SET user_id = {other} WHERE id = {id} + 5000; UPDATE orders SET id = id - 5000 WHERE id = {id} + 5000"
        ),
        2 => format!(
            "DELETE FROM users WHERE id = {other}; INSERT INTO users (id, name, boss_id) VALUES ({other}, 'again', {id} % 60)"
        ),
        3 => format!(
            "DELETE FROM tags WHERE id = 't{0}'; INSERT INTO tags VALUES ('t{0}', 'back', {1})",
            other % 23,
            id % 5
        ),
        4 => format!(
            "DELETE FROM items WHERE order_id = {id}; INSERT INTO items VALUES ({id}, 'l:again', 'p:{}', 3, 1.5)",
            other % 63
        ),
        _ => format!(
            "WITH gone AS (DELETE FROM products WHERE code = 'p:{0}' RETURNING name) SELECT 1; INSERT INTO products (code, name, price) VALUES ('p:{0}', 'again', 1.5)",
            other % 63
        ),
    };
    format!("BEGIN; {what}; COMMIT")
}

/// Transactions of thousands of changes.
fn large(random: &mut Random) -> String {
    let (id, rows) = (random.below(1_200), 5_000 + random.below(25_000));
    match random.below(6) {
        0 => format!(
            "INSERT INTO items SELECT g % 1230, 'big:' || g, 'p:' || g % 63, g % 9, 1 FROM generate_series({id}, {id} + {rows}) g ON CONFLICT DO NOTHING"
        ),
        1 => "DELETE FROM items WHERE line LIKE 'big:%'".to_owned(),
        2 => "UPDATE items SET quantity = quantity % 9 + 1".to_owned(),
        3 => format!("UPDATE orders SET total = {id} WHERE id % 3 = {}", id % 3),
        4 => format!(
            "BEGIN; UPDATE users SET balance = balance + 1; UPDATE crm.orders SET user_id = {} WHERE id % 2 = 0; DELETE FROM items WHERE line LIKE 'big:%'; COMMIT",
            id % 410
        ),
        _ => format!(
            "BEGIN; INSERT INTO readings SELECT uu(g % 30), timestamptz '2024-01-01 00:00:00+00' + g * interval '1 second', NULL, g FROM generate_series(1, {rows}) g ON CONFLICT DO NOTHING; DELETE FROM readings WHERE at >= '2024-01-01 00:30:00+00'; COMMIT"
        ),
    }
}

/// A truncate of a child or of a root, and rows again, mostly at once.
fn truncate(random: &mut Random) -> String {
    let (truncated, filled) = match random.below(7) {
        0 => ("TRUNCATE user_tags", "INSERT INTO user_tags SELECT id, 't' || id % 23 FROM users"),
        1 => (
            "TRUNCATE labels",
            "INSERT INTO labels (user_id, tag_id) SELECT g % 410, 't' || g % 23 FROM generate_series(0, 899) g",
        ),
        2 => (
            "TRUNCATE users CASCADE",
            "INSERT INTO users (id, name, company_id, boss_id, balance, tier) SELECT g, 'new ' || g, uu(g % 22), g / 5, g, 'gold' FROM generate_series(0, 399) g",
        ),
        3 => (
            "TRUNCATE crm.orders, pieces",
            "INSERT INTO crm.orders SELECT g, g % 410, g FROM generate_series(0, 599) g",
        ),
        4 => (
            "TRUNCATE items",
            "INSERT INTO items SELECT g % 1230, 'l:' || g, 'p:' || g % 63, g % 9, 2 FROM generate_series(0, 2999) g",
        ),
        5 => (
            "TRUNCATE readings",
            "INSERT INTO readings SELECT uu(g % 30), timestamptz '2023-01-01 00:00:00+00' + g * interval '1 minute', NULL, g FROM generate_series(0, 299) g",
        ),
        _ => ("TRUNCATE profiles", "INSERT INTO profiles SELECT g, 'new ' || g FROM generate_series(0, 399, 3) g"),
    };
    if random.once_in(4) {
        truncated.to_owned()
    } else {
        format!("BEGIN; {truncated}; {filled}; {}; COMMIT", statement(random))
    }
}

fn or_null(random: &mut Random, value: String) -> String {
    if random.once_in(8) { "NULL".to_owned() } else { value }
}

fn moment(random: &mut Random) -> String {
    let value = format!("timestamptz '2022-01-01 00:00:00+00' + {} * interval '1 hour'", random.below(2_000));
    or_null(random, value)
}

fn prose(random: &mut Random) -> String {
    let number = random.below(10_000);
    let value = match random.below(6) {
        0 => format!("long({number})"),
        1 => format!("E'  \"quoted\" \\\\ \\n é🎈 {number} '"),
        2 => "''".to_owned(),
        _ => format!("'text {number}'"),
    };
    or_null(random, value)
}

fn statement(random: &mut Random) -> String {
    match random.below(12) {
        0..=2 => of_users(random),
        3..=5 => of_orders(random),
        6..=7 => of_items(random),
        8 => of_products(random),
        9 => of_tags(random),
        10 => of_parts(random),
        _ => of_the_rest(random),
    }
}

fn of_users(random: &mut Random) -> String {
    let (id, other, company) = (random.below(420), random.below(420), random.below(22));
    match random.below(20) {
        0 => format!("UPDATE users SET name = {} WHERE id = {id}", prose(random)),
        1 => format!("UPDATE users SET bio = {} WHERE id = {id}", prose(random)),
        // What is stored out of line is not in the stream of an update that leaves it alone.
        2..=4 => format!("UPDATE users SET balance = balance + 1 WHERE id = {id}"),
        5 => format!("UPDATE users SET boss_id = {} WHERE id = {id}", or_null(random, (other % 60).to_string())),
        6 => format!("UPDATE users SET company_id = {} WHERE id = {id}", or_null(random, format!("uu({company})"))),
        7 => format!("UPDATE users SET tier = {}, active = {} WHERE id = {id}", or_null(random, "'gold'".into()), or_null(random, "NOT active".into())),
        8 => format!("UPDATE users SET deleted_at = {} WHERE id = {id}", moment(random)),
        9 => format!("UPDATE users SET hold = {} WHERE id = {id}", random.one_of(&["true", "false", "false", "NULL"]).unwrap_or("NULL")),
        10 => format!("UPDATE users SET deleted_at = NULL, hold = NULL WHERE id BETWEEN {id} AND {id} + 40"),
        11 => format!("UPDATE users SET kind = {} WHERE id = {id}", random.one_of(&["'person'", "'company'", "'robot'", "NULL"]).unwrap_or("NULL")),
        12 => format!("UPDATE users SET kind = 'person' WHERE id BETWEEN {id} AND {id} + 30"),
        13 => format!("UPDATE users SET id = {other} WHERE id = {id} AND NOT EXISTS (SELECT FROM users WHERE id = {other})"),
        14 => format!("DELETE FROM users WHERE id = {id}"),
        15 => format!("UPDATE users SET title = {}, email = {}, lat = {}, born = {} WHERE id = {id}",
            or_null(random, format!("jsonb_build_object('en', {}, 'de', 'x')", "'y'")), or_null(random, format!("'Mixed{other}@X.org'")), or_null(random, "1.50".into()), or_null(random, format!("date '2000-01-01' + {other}"))),
        _ => format!("INSERT INTO users (id, name, email, company_id, boss_id, balance, created_at, kind) VALUES ({id}, {}, 'U{id}@x.org', uu({company}), {}, {other}, {}, 'person')
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, company_id = excluded.company_id", prose(random), other % 60, moment(random)),
    }
}

fn of_orders(random: &mut Random) -> String {
    let (id, user, total) = (random.below(1_250), random.below(420), random.below(100_000));
    match random.below(18) {
        0..=1 => format!("UPDATE orders SET user_id = {} WHERE id = {id}", or_null(random, user.to_string())),
        2 => format!("UPDATE orders SET status = {} WHERE id = {id}", random.one_of(&["'open'", "'paid'", "'void'", "NULL"]).unwrap_or("NULL")),
        3 => format!("UPDATE orders SET status = 'paid' WHERE id BETWEEN {id} AND {id} + 40"),
        4 => format!("UPDATE orders SET gone = NOT gone WHERE id = {id}"),
        5 => format!("UPDATE orders SET gone = false WHERE id BETWEEN {id} AND {id} + 60"),
        6 => format!("UPDATE orders SET note = {}, meta = {} WHERE id = {id}", prose(random), or_null(random, format!("'{{\"n\": {total}, \"a\": [null, \"x\"]}}'"))),
        7..=8 => format!("UPDATE orders SET total = {} WHERE id = {id}", or_null(random, format!("{total} / 8.0"))),
        9 => format!("UPDATE orders SET placed_at = {} WHERE id = {id}", moment(random)),
        10 => format!("UPDATE orders SET id = {0} WHERE id = {id} AND NOT EXISTS (SELECT FROM orders WHERE id = {0})", random.below(1_250)),
        11 => format!("DELETE FROM orders WHERE id = {id}"),
        12 => format!("DELETE FROM orders WHERE user_id = {user}"),
        13 => format!("UPDATE orders SET user_id = {user} WHERE user_id = {}", random.below(420)),
        14 => format!("UPDATE crm.orders SET user_id = {}, total = {} WHERE id = {id} % 620", or_null(random, user.to_string()), or_null(random, total.to_string())),
        15 => format!("DELETE FROM crm.orders WHERE id = {id} % 620"),
        16 => format!("INSERT INTO crm.orders VALUES ({id} % 620, {user}, {total}) ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id"),
        _ => format!("INSERT INTO orders (id, user_id, status, total, placed_at, note) SELECT g, {user}, 'open', {total} / 8.0, {}, {} FROM generate_series({id}, {id} + 3) g
            ON CONFLICT (id) DO UPDATE SET total = excluded.total, user_id = excluded.user_id", moment(random), prose(random)),
    }
}

fn of_items(random: &mut Random) -> String {
    let (order, other, product) = (random.below(1_230), random.below(1_250), random.below(63));
    match random.below(10) {
        0 => format!(
            "UPDATE items SET order_id = {other} WHERE order_id = {order} AND NOT EXISTS (SELECT FROM items WHERE order_id = {other})"
        ),
        1 => format!("UPDATE items SET line = line || ':x' WHERE order_id = {order} AND length(line) < 12"),
        2 => {
            format!("UPDATE items SET product = {} WHERE order_id = {order}", or_null(random, format!("'p:{product}'")))
        }
        3 => format!(
            "UPDATE items SET quantity = {}, price = {} WHERE order_id = {order}",
            or_null(random, (other % 9).to_string()),
            or_null(random, format!("{other} / 100.0"))
        ),
        4 => format!("DELETE FROM items WHERE order_id = {order} AND quantity % 2 = 0"),
        5 => format!("DELETE FROM items WHERE order_id = {order}"),
        6 => format!(
            r"UPDATE items SET line = 'back\slash:{other}' WHERE (order_id, line) = (SELECT order_id, line FROM items WHERE order_id = {order} LIMIT 1) AND NOT EXISTS (SELECT FROM items WHERE order_id = {order} AND line LIKE 'back%')"
        ),
        _ => format!(
            "INSERT INTO items VALUES ({order}, 'l:{}', 'p:{product}', {}, {other} / 50.0) ON CONFLICT (order_id, line) DO UPDATE SET quantity = excluded.quantity",
            other % 7,
            other % 9
        ),
    }
}

fn of_products(random: &mut Random) -> String {
    let (code, number) = (random.below(63), random.below(1_000));
    match random.below(8) {
        0 => format!("DELETE FROM products WHERE code = 'p:{code}'"),
        1 => format!(
            "UPDATE products SET code = 'p:{0}' WHERE code = 'p:{code}' AND NOT EXISTS (SELECT FROM products WHERE code = 'p:{0}')",
            number % 63
        ),
        2..=3 => format!(
            "UPDATE products SET name = {} WHERE code = 'p:{code}'",
            or_null(random, format!("'Product {number}'"))
        ),
        4 => format!("UPDATE products SET extra = '{{\"a\": [{number}], \"b\": \"x:y\"}}' WHERE code = 'p:{code}'"),
        5 => format!("UPDATE products SET price = {number} / 8.0 WHERE code = 'p:{code}'"),
        _ => format!(
            "INSERT INTO products (code, name, price) VALUES ('p:{code}', 'New {number}', 1.5) ON CONFLICT (code) DO UPDATE SET price = excluded.price"
        ),
    }
}

fn of_tags(random: &mut Random) -> String {
    let (user, tag, number) = (random.below(420), random.below(23), random.below(1_000));
    let kind = random.one_of(&["'user'", "'order'", "'page'", "NULL"]).unwrap_or("NULL");
    match random.below(17) {
        0 => format!("UPDATE tags SET name = 'tag {number}' WHERE id = 't{tag}'"),
        1 => format!("UPDATE tags SET weight = {} WHERE id = 't{tag}'", or_null(random, (number % 6).to_string())),
        2 => format!("DELETE FROM tags WHERE id = 't{tag}'"),
        3 => format!("INSERT INTO tags VALUES ('t{tag}', 'tag {number}', {}) ON CONFLICT DO NOTHING", number % 6),
        4 => format!("DELETE FROM user_tags WHERE user_id = {user}"),
        5 => format!(
            "UPDATE user_tags SET user_id = {0} WHERE user_id = {user} AND NOT EXISTS (SELECT FROM user_tags WHERE user_id = {0})",
            number % 420
        ),
        6 => format!(
            "UPDATE labels SET user_id = {} WHERE user_id = {user}",
            or_null(random, (number % 420).to_string())
        ),
        7 => format!("UPDATE labels SET tag_id = 't{tag}' WHERE user_id = {user}"),
        8 => format!("DELETE FROM labels WHERE user_id = {user}"),
        12 => format!("UPDATE taggings SET owner_type = {kind} WHERE owner_id = {user}"),
        13 => format!(
            "UPDATE taggings SET owner_id = {}, rank = {} WHERE id = {number}",
            or_null(random, (number % 420).to_string()),
            or_null(random, (number % 7).to_string())
        ),
        14 => format!("DELETE FROM taggings WHERE id BETWEEN {number} AND {number} + 2"),
        15 => format!("UPDATE taggings SET tag_id = 't{tag}' WHERE owner_id = {user}"),
        16 => format!(
            "INSERT INTO taggings (tag_id, owner_type, owner_id, rank) VALUES ('t{tag}', {kind}, {user}, {}), ('t{}', 'order', {user}, 3)",
            number % 7,
            number % 23
        ),
        9 => format!("INSERT INTO labels (user_id, tag_id) VALUES ({user}, 't{tag}'), ({user}, 't{}')", number % 23),
        _ => format!(
            "INSERT INTO user_tags SELECT {user}, 't{tag}' WHERE EXISTS (SELECT FROM users WHERE id = {user}) ON CONFLICT DO NOTHING"
        ),
    }
}

fn of_parts(random: &mut Random) -> String {
    let (code, size, number) = (random.below(10), random.below(7), random.below(400));
    let grade = random.one_of(&["free", "paid", "gold"]).unwrap_or("free");
    let key = format!("code = 'cODE:{code}' AND grade = '{grade}' AND size = {size} / 2.0");
    match random.below(9) {
        0 => format!("UPDATE parts SET label = 'part {number}' WHERE {key}"),
        1 => format!("DELETE FROM parts WHERE {key}"),
        // Equal to the database, another text.
        2 => format!("UPDATE parts SET code = upper(code::text), size = size + 0.000 WHERE {key}"),
        3 => format!(
            "UPDATE parts SET size = size + 0.5 WHERE {key} AND NOT EXISTS (SELECT FROM parts p WHERE p.code = 'code:{code}' AND p.grade = '{grade}' AND p.size = {size} / 2.0 + 0.5)"
        ),
        4 => format!(
            "UPDATE pieces SET code = 'code:{code}', size = {} WHERE id = {number}",
            or_null(random, format!("{size} / 2.0"))
        ),
        5 => format!(
            "UPDATE pieces SET q = q + 1, grade = {} WHERE id BETWEEN {number} AND {number} + 3",
            or_null(random, format!("'{grade}'"))
        ),
        6 => format!("DELETE FROM pieces WHERE id = {number}"),
        7 => format!(
            "INSERT INTO pieces (code, grade, size, q) VALUES ('CODE:{code}', '{grade}', {size} / 2.0, {number})"
        ),
        _ => format!(
            "INSERT INTO parts VALUES ('Code:{code}', '{grade}', {size}.50 / 1.00, 'new {number}') ON CONFLICT DO NOTHING"
        ),
    }
}

fn of_the_rest(random: &mut Random) -> String {
    let (number, other) = (random.below(420), random.below(300));
    let reading = format!(
        "sensor = uu({other} % 30) AND at = timestamptz '2023-01-01 00:00:00+00' + {other} * interval '1 minute'"
    );
    match random.below(11) {
        0 => format!("UPDATE companies SET name = 'company {number}' WHERE id = uu({})", number % 22),
        1 => format!(
            "UPDATE companies SET region = {}, lat = {} WHERE id = uu({})",
            or_null(random, "'north'".into()),
            or_null(random, "1.5".into()),
            number % 22
        ),
        2 => format!("DELETE FROM companies WHERE id = uu({})", number % 22),
        3..=4 => format!(
            "INSERT INTO companies VALUES (uu({}), 'company {number}', 1, 2, '{{}}', 'south') ON CONFLICT (id) DO UPDATE SET settings = '{{\"n\": {other}}}'",
            number % 22
        ),
        5 => format!(
            "UPDATE profiles SET bio = {}, theme = {} WHERE user_id = {number}",
            prose(random),
            or_null(random, "'light'".into())
        ),
        6 => format!("DELETE FROM profiles WHERE user_id = {number}"),
        7 => format!(
            "INSERT INTO profiles VALUES ({number}, 'bio', {}, 'dark') ON CONFLICT (user_id) DO UPDATE SET updated_at = excluded.updated_at",
            moment(random)
        ),
        8 => format!(
            "UPDATE readings SET value = {}, tier = {}, raw = {} WHERE {reading}",
            or_null(random, format!("{number}.50")),
            or_null(random, "'gold'".into()),
            or_null(random, "'\\x00ff'".into())
        ),
        9 => format!("DELETE FROM readings WHERE {reading}"),
        _ => format!(
            "INSERT INTO readings VALUES (uu({other} % 30), timestamptz '2023-01-01 00:00:00+00' + {other} * interval '1 minute', date '2023-01-01' + {number}, {number}.10) ON CONFLICT (sensor, at) DO UPDATE SET value = excluded.value"
        ),
    }
}
