//! The tables of applications made with Prisma and with Entity Framework (quoted names, enums, implicit junctions, schemas,
//! views): seeded, followed, searched, every document beside what SQL says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flusso_tests::search::Search;
use flusso_tests::{Host, Postgres, deployment};
use serde_json::Value;

/// The longest a change may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

struct Index {
    name: &'static str,
    schema: &'static str,
    /// Id and document.
    oracle: &'static str,
}

const PRISMA: &[Index] = &[
    Index {
        name: "users",
        schema: "
table: User
primary_key: id
fields:
  - integer: id
  - keyword: email
  - text: fullName
  - enum: role
  - timestamp: createdAt
  - has_one: profile
    table: user_profiles
    primary_key: id
    foreign_key: userId
    fields: [{ text: bio }]
  - has_many: posts
    table: Post
    primary_key: id
    foreign_key: authorId
    order_by: [{ column: id }]
    fields:
      - keyword: id
      - text: title
      - integer: viewCount
      - many_to_many: categories
        table: Category
        primary_key: id
        through: { table: _CategoryToPost, left_key: B, right_key: A }
        order_by: [{ column: id }]
        fields: [{ keyword: name }]
  - count: postCount
    table: Post
    foreign_key: authorId
",
        oracle: r#"SELECT u.id, json_build_object('id', u.id, 'email', u.email, 'fullName', u."fullName", 'role', u.role, 'createdAt', to_char(u."createdAt", 'YYYY-MM-DD"T"HH24:MI:SS')
            || CASE WHEN u."createdAt" = date_trunc('second', u."createdAt") THEN '' ELSE to_char(u."createdAt", '.MS') END,
            'profile', (SELECT json_build_object('bio', f.bio) FROM user_profiles f WHERE f."userId" = u.id),
            'posts', (SELECT coalesce(json_agg(json_build_object('id', p.id, 'title', p.title, 'viewCount', p."viewCount", 'categories',
                (SELECT coalesce(json_agg(json_build_object('name', c.name) ORDER BY c.id), '[]') FROM "_CategoryToPost" j JOIN "Category" c ON c.id = j."A" WHERE j."B" = p.id)
            ) ORDER BY p.id), '[]') FROM "Post" p WHERE p."authorId" = u.id),
            'postCount', (SELECT count(*) FROM "Post" p WHERE p."authorId" = u.id)) FROM "User" u"#,
    },
    Index {
        name: "active",
        schema: "
table: ActiveUsers
primary_key: id
fields:
  - integer: id
  - text: displayName
  - long: postCount
  - integer: mostViews
  - ids: postIds
    table: Post
    foreign_key: authorId
    element_type: keyword
follow:
  - { table: User, primary_key: id, foreign_key: id }
  - { table: Post, primary_key: id, foreign_key: authorId }
",
        oracle: r#"SELECT v.id, json_build_object('id', v.id, 'displayName', v."displayName", 'postCount', v."postCount", 'mostViews', v."mostViews",
            'postIds', (SELECT coalesce(json_agg(p.id ORDER BY p.id), '[]') FROM "Post" p WHERE p."authorId" = v.id)) FROM "ActiveUsers" v"#,
    },
];

/// What is done while it runs, one after the other.
const PRISMA_STEPS: &[&str] = &[
    r#"INSERT INTO "User" (email, "fullName") VALUES ('new@x', 'New One'); INSERT INTO "Post" (id, title, published, "authorId") VALUES ('new1', 'Fresh', true, 61), ('new2', 'Draft', false, 59)"#,
    r#"UPDATE "Post" SET published = true, "viewCount" = 5000 WHERE id IN ('new2', 'cl3', 'cl6'); UPDATE "User" SET "fullName" = 'Renamed' WHERE id IN (2, 60)"#,
    // The last published posts of some users go, are hidden, are moved.
    r#"UPDATE "Post" SET published = false WHERE "authorId" = 5; DELETE FROM "Post" WHERE "authorId" = 6; UPDATE "Post" SET "authorId" = 57 WHERE "authorId" = 7"#,
    // One who had none published, and so no document, gives its draft to another; a published one comes to it.
    r#"UPDATE "Post" SET "authorId" = 58 WHERE "authorId" = 5 AND id = (SELECT min(id) FROM "Post" WHERE "authorId" = 5); UPDATE "Post" SET "authorId" = 5 WHERE id = 'cl10'"#,
    r#"UPDATE "User" SET "deletedAt" = now() WHERE id IN (9, 10); UPDATE "User" SET id = 1000 WHERE id = 11"#,
    r#"DELETE FROM "_CategoryToPost" WHERE "A" = 3; INSERT INTO "_CategoryToPost" VALUES (5, 'new1'), (6, 'new1'); UPDATE "_CategoryToPost" SET "B" = 'cl199' WHERE "A" = 7 AND "B" = 'cl16'"#,
    r#"UPDATE "Category" SET name = 'Renamed' WHERE id = 2; DELETE FROM "Category" WHERE id = 4; UPDATE "user_profiles" SET "userId" = 50 WHERE "userId" = 12"#,
    r#"UPDATE "User" SET "deletedAt" = NULL WHERE id = 9; DELETE FROM "User" WHERE id IN (13, 14)"#,
];

const FRAMEWORK: &[Index] = &[
    Index {
        name: "totals",
        schema: "
table: Sales.OrderTotals
primary_key: OrderId
fields:
  - integer: orderId
    column: OrderId
  - text: companyName
    column: CompanyName
  - long: lines
    column: Lines
  - double: total
    column: Total
  - has_many: details
    table: OrderDetails
    primary_key: [OrderId, ProductId]
    foreign_key: OrderId
    fields:
      - short: quantity
        column: Quantity
      - belongs_to: product
        table: Products
        column: ProductId
        primary_key: ProductId
        fields: [{ text: name, column: ProductName }]
follow:
  - table: Orders
    primary_key: OrderId
    foreign_key: OrderId
    follow: [{ table: Customers, primary_key: Id, column: CustomerId }]
  - table: OrderDetails
    primary_key: [OrderId, ProductId]
    foreign_key: OrderId
    follow: [{ table: Products, primary_key: ProductId, column: ProductId }]
",
        oracle: r#"SELECT v."OrderId", json_build_object('orderId', v."OrderId", 'companyName', v."CompanyName", 'lines', v."Lines", 'total', v."Total", 'details',
            (SELECT coalesce(json_agg(json_build_object('quantity', d."Quantity", 'product', CASE WHEN p."ProductId" IS NOT NULL THEN json_build_object('name', p."ProductName") END) ORDER BY d."OrderId", d."ProductId"), '[]')
             FROM "Sales"."OrderDetails" d LEFT JOIN "Sales"."Products" p USING ("ProductId") WHERE d."OrderId" = v."OrderId")) FROM "Sales"."OrderTotals" v"#,
    },
    Index {
        name: "accounts",
        schema: "
table: AspNetUsers
primary_key: Id
fields:
  - keyword: UserName
  - boolean: EmailConfirmed
  - timestamp: LockoutEnd
  - integer: AccessFailedCount
  - many_to_many: roles
    table: AspNetRoles
    primary_key: Id
    through: { table: AspNetUserRoles, left_key: UserId, right_key: RoleId }
    fields: [{ keyword: Name }]
",
        oracle: r#"SELECT u."Id", json_build_object('UserName', u."UserName", 'EmailConfirmed', u."EmailConfirmed",
            'LockoutEnd', to_char(u."LockoutEnd" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'), 'AccessFailedCount', u."AccessFailedCount",
            'roles', (SELECT coalesce(json_agg(json_build_object('Name', r."Name") ORDER BY r."Id"), '[]') FROM "AspNetUserRoles" j JOIN "AspNetRoles" r ON r."Id" = j."RoleId" WHERE j."UserId" = u."Id")) FROM "AspNetUsers" u"#,
    },
];

const FRAMEWORK_STEPS: &[&str] = &[
    r#"INSERT INTO "Sales"."Orders" ("OrderId", "CustomerId", "OrderDate") VALUES (900, md5('c1')::uuid, now()); INSERT INTO "Sales"."OrderDetails" VALUES (900, 1, 3), (80, 2, 1)"#,
    r#"UPDATE "Sales"."Products" SET "UnitPrice" = "UnitPrice" + 1, "ProductName" = 'New ' || "ProductName" WHERE "ProductId" IN (2, 3, 4)"#,
    r#"DELETE FROM "Sales"."OrderDetails" WHERE "OrderId" = 50; UPDATE "Sales"."OrderDetails" SET "OrderId" = 79 WHERE "OrderId" = 60"#,
    r#"UPDATE "Sales"."Customers" SET "CompanyName" = 'Renamed' WHERE "Id" = md5('c3')::uuid; DELETE FROM "Sales"."Customers" WHERE "Id" = md5('c4')::uuid"#,
    r#"DELETE FROM "Sales"."Products" WHERE "ProductId" = 9; UPDATE "Sales"."Orders" SET "CustomerId" = md5('c5')::uuid WHERE "OrderId" = 1"#,
    r#"DELETE FROM "AspNetUserRoles" WHERE "RoleId" = 'role-2'; UPDATE "AspNetRoles" SET "Name" = 'Owner' WHERE "Id" = 'role-1'; DELETE FROM "AspNetUsers" WHERE "UserName" = 'User7'"#,
];

/// An application's database, and a host between it and the cluster.
struct Application {
    database: Postgres,
    host: Host,
    search: Search,
    prefix: String,
}

impl Application {
    fn open(name: &str, tables: &str, indexes: &[Index]) -> Self {
        let (database, search) = (Postgres::with(tables), Search::shared());
        let host = Host::on(&database.url());
        let prefix = format!("{name}_{}_", std::process::id());
        let mut config = format!(
            "prefix = \"{prefix}\"\n[source]\nplugin = \"pg\"\nconnection_url = {{ env = \"DATABASE_URL\" }}\nmanage_replica_identity = true\n[sinks.search]\nplugin = \"opensearch\"\nurl = \"{}\"\nnumber_of_replicas = 0\nmeta_index = \"{prefix}flusso_meta\"\n",
            search.url()
        );
        for Index { name, schema, .. } in indexes {
            host.file(&format!("{name}.schema.yml"), &format!("version: 1{schema}"));
            config.push_str(&format!("[[index]]\nname = \"{name}\"\nschema = \"{name}.schema.yml\"\n"));
        }
        host.file("flusso.toml", &config);
        Self { database, host, search, prefix }
    }

    /// What differs from SQL, if anything does.
    fn difference(&self, index: &str, oracle: &str) -> Vec<String> {
        let Some(found) = self.search.documents(index) else { return vec![format!("{index} is not there")] };
        let rows = self.database.sql(&format!("SELECT json_build_array(id::text, body) FROM ({oracle}) t (id, body)"));
        let wanted: BTreeMap<String, Value> =
            rows.lines().map(|row| serde_json::from_str::<(String, Value)>(row).unwrap()).collect();
        assert!(!wanted.is_empty(), "{oracle}");
        let mut differences: Vec<String> =
            found.keys().filter(|id| !wanted.contains_key(*id)).map(|id| format!("{index}/{id} is too many")).collect();
        for (id, wanted) in &wanted {
            match found.get(id) {
                Some(found) => deployment::differences(&format!("{index}/{id}"), wanted, found, &mut differences),
                None => differences.push(format!("{index}/{id} is missing")),
            }
        }
        differences
    }

    /// Waits until every index is what SQL says.
    fn settle(&self, indexes: &[Index], when: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let differences: Vec<String> = indexes
                .iter()
                .flat_map(|index| self.difference(&format!("{}{}", self.prefix, index.name), index.oracle))
                .collect();
            if differences.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{when}: {:#?}", differences.iter().take(10).collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn hits(&self, index: &str, query: &str) -> Vec<String> {
        let (_, answer) = self.search.ask("POST", &format!("/{}{index}/_search", self.prefix), query);
        answer["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.search.clean(&self.prefix);
        }
    }
}

/// Seeds, follows every step, and once more with what happened while it did not run.
fn followed(name: &str, tables: &str, indexes: &[Index], steps: &[&str]) -> Application {
    let application = Application::open(name, tables, indexes);
    let checked = application.host.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{:#?}", checked.lines);
    assert!(!checked.lines.iter().any(|line| line.contains("not-followed")), "{:#?}", checked.lines);
    let running = application.host.start(&[]);
    running.wait_for_log("ready");
    application.settle(indexes, "seeded");
    for step in steps {
        application.database.sql(step);
        application.settle(indexes, step);
    }
    running.signal("TERM");
    running.wait().succeeded();
    application
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn the_tables_and_views_of_a_prisma_application_are_followed() {
    let application = followed("prisma", include_str!("../../applications/prisma.sql"), PRISMA, PRISMA_STEPS);
    application.database.sql(r#"UPDATE "Post" SET published = false WHERE "authorId" < 20; UPDATE "User" SET "fullName" = 'Grace Hopper' WHERE id = 25"#);
    application.host.run(&["--once"]).succeeded();
    application.settle(PRISMA, "what was missed is made up for");
    let found = |index| {
        application.hits(
            index,
            r#"{ "query": { "multi_match": { "query": "hopper", "fields": ["fullName", "displayName"] } } }"#,
        )
    };
    assert_eq!((found("users"), found("active")), (vec!["25".to_owned()], vec!["25".to_owned()]));
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn the_tables_and_views_of_an_entity_framework_application_are_followed() {
    let tables = include_str!("../../applications/entity_framework.sql");
    let application = followed("framework", tables, FRAMEWORK, FRAMEWORK_STEPS);
    let cheap = application.hits("totals", r#"{ "size": 1000, "query": { "range": { "total": { "lt": 20 } } } }"#);
    let wanted = application.database.sql(r#"SELECT count(*) FROM "Sales"."OrderTotals" WHERE "Total" < 20"#);
    assert_eq!(cheap.len().to_string(), wanted.trim());
}

/// Every table is an index, whatever its name; views are left out, with a word.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn an_application_needs_no_schema_files() {
    for (name, tables, expected) in [
        ("prisma_plain", include_str!("../../applications/prisma.sql"), "1 view left out"),
        ("framework_plain", include_str!("../../applications/entity_framework.sql"), "1 view left out"),
    ] {
        let application = Application::open(name, tables, &[]);
        let ended = application.host.run(&["--once"]).succeeded();
        assert!(ended.log.contains(expected), "{}", ended.log);
        let checked = application.host.run(&["check"]);
        assert!(checked.lines.join("\n").contains(expected), "{:#?}", checked.lines);
        let tables = application.database.sql(
            "SELECT json_build_array(n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND n.nspname IN ('public', 'Sales')",
        );
        let mut indexes = application.search.indexes(&application.prefix);
        indexes.retain(|index| !index.contains("flusso_meta"));
        assert_eq!(indexes.len(), tables.lines().count(), "{indexes:?}");
        for table in tables.lines() {
            let (schema, table): (String, String) = serde_json::from_str(table).unwrap();
            let label = if schema == "public" { table.clone() } else { format!("{schema}.{table}") };
            // A hash tells names apart that the cluster cannot.
            let lower = format!("{}{}", application.prefix, label.to_lowercase());
            let index = indexes.iter().find(|index| {
                let rest = index.strip_prefix(&lower);
                rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit() || c == '_' || c == '-'))
            });
            let index = index.unwrap_or_else(|| panic!("{label}: {indexes:?}"));
            let rows = application.database.sql(&format!("SELECT count(*) FROM \"{schema}\".\"{table}\""));
            assert_eq!(application.search.count(index).to_string(), rows.trim(), "{index}");
        }
    }
}
