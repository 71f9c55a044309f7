//! An interest that another plugin's builder wrote by hand: what no table has is refused with what there is, by the start and by
//! `check` alike; what was there before is waited for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::diagnosis::examine;
use flusso_pg::replication::source::PgSource;
use flusso_plugin::Source as _;
use flusso_plugin::{Error, Event, Examination, Op, Preparation, Result, Severity, TableInterest, Value};
use server::{Database, Kept, changes, drain, interest, ready};

const TABLES: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, code text NOT NULL, note text, UNIQUE (code), UNIQUE (note));
    CREATE TABLE lines (order_id int, place int, title text, PRIMARY KEY (order_id, place));
    CREATE UNIQUE INDEX ON lines (place) WHERE place > 3; CREATE UNIQUE INDEX ON lines ((place + 1), order_id);
    CREATE TABLE told (id int PRIMARY KEY, code text NOT NULL UNIQUE);
    ALTER TABLE told REPLICA IDENTITY USING INDEX told_code_key;
    CREATE VIEW seen AS SELECT * FROM orders;";

fn reading(table: &str, key: &[&str], links: &[&str], reads: &[&str]) -> TableInterest {
    let of = |columns: &[&str]| columns.iter().map(ToString::to_string).collect();
    TableInterest { links: of(links), reads: Some(of(reads)), ..interest(table, key) }
}

fn prepare(database: &Database, kept: &Kept, wanted: Vec<TableInterest>, resume: Option<&[u8]>) -> Result<PgSource> {
    let mut source = PgSource::start(database.settings(), wanted)?.with_shape_store(kept.clone());
    source.inspect(resume.map(<[u8]>::to_vec))?;
    loop {
        if let Preparation::Ready(_) = source.prepare(resume.map(<[u8]>::to_vec))? {
            return Ok(source);
        }
    }
}

/// The setting and the message of a refusal.
fn refused(result: Result<PgSource>) -> String {
    match result {
        Err(Error::Configuration(error)) => format!("{}: {}", error.setting, error.message),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

#[test]
fn what_no_table_has_is_refused_with_what_there_is() {
    let Some(database) = Database::create("interest") else { return };
    database.session().simple(TABLES).unwrap();
    let cases: [(TableInterest, &str, &[&str]); 10] = [
        (interest("oders", &["id"]), "table-missing", &["interest: ", "no table public.oders", "`public.orders`"]),
        (interest("orders", &["custmer"]), "column-missing", &["public.orders has no column custmer", "`customer`"]),
        (reading("orders", &["id"], &["cutomer"], &[]), "column-missing", &["no column cutomer", "`customer`"]),
        (
            reading("orders", &["id"], &[], &["zzz"]),
            "column-missing",
            &["no column zzz", "it has id, customer, code, note"],
        ),
        (interest("orders", &["customer"]), "key-not-unique", &["(customer) is no key", "keys are (id), (code)"]),
        (interest("orders", &["note"]), "key-not-unique", &["(note) is no key", "keys are (id), (code)"]),
        (interest("lines", &["place"]), "key-not-unique", &["(place) is no key", "its key is (order_id, place)"]),
        (interest("lines", &["order_id", "place", "title"]), "key-not-unique", &["title is null", "SET NOT NULL"]),
        (interest("orders", &["code"]), "replica-identity", &["does not tell code", "REPLICA IDENTITY FULL"]),
        (interest("orders", &["id", "customer"]), "replica-identity", &["does not tell customer"]),
    ];
    for (wanted, code, words) in &cases {
        let text = match prepare(&database, &Kept::default(), vec![wanted.clone()], None) {
            Err(Error::Configuration(error)) => format!("{}: {}", error.setting, error.message),
            Err(error) => panic!("{wanted:?}: {error:?}"),
            Ok(_) => panic!("accepted: {wanted:?}"),
        };
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
        let of = Examination { indexes: None, tables: vec![wanted.clone()], online: true };
        let found = examine(&database.settings(), &of).unwrap();
        let errors: Vec<_> = found.iter().filter(|it| it.severity == Severity::Error).collect();
        assert_eq!(errors.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), [*code], "{errors:#?}");
        assert!(
            words.iter().skip(1).all(|word| errors[0].message.contains(word) || text.contains(word)),
            "{errors:#?}"
        );
    }
    // All of them at once; nothing was made meanwhile.
    let all = cases.iter().take(3).map(|(wanted, ..)| wanted.clone()).collect();
    let text = refused(prepare(&database, &Kept::default(), all, None));
    assert!(["oders", "custmer"].iter().all(|word| text.contains(word)), "{text}");
    let made = "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())";
    assert_eq!(database.session().one(made).unwrap().as_deref(), Some("0"));
}

#[test]
fn a_key_that_is_not_the_primary_one_is_followed_where_it_is_told() {
    let Some(database) = Database::create("otherkey") else { return };
    let mut session = database.session();
    session.simple(TABLES).unwrap();
    let wanted = vec![interest("lines", &["place", "order_id"]), interest("told", &["code"])];
    let of = Examination { indexes: None, tables: wanted.clone(), online: true };
    let found = examine(&database.settings(), &of).unwrap();
    assert!(found.iter().all(|it| it.severity != Severity::Error), "{found:#?}");
    let (mut source, _) = ready(&database, wanted, None);
    session
        .simple(
            "INSERT INTO lines VALUES (7, 1); DELETE FROM lines; INSERT INTO told VALUES (1, 'a'); DELETE FROM told",
        )
        .unwrap();
    let seen: Vec<_> = changes(drain(&mut source)).into_iter().map(|it| (it.table, it.op, it.key)).collect();
    let (line, told) = (vec![Value::Integer(1), Value::Integer(7)], vec![Value::Text("a".into())]);
    let wanted =
        [(0, Op::Upsert, line.clone()), (0, Op::Delete, line), (1, Op::Upsert, told.clone()), (1, Op::Delete, told)];
    assert_eq!(seen, wanted);
}

#[test]
fn what_was_followed_before_is_waited_for_and_a_new_slip_is_not() {
    let Some(database) = Database::create("waited") else { return };
    let (mut session, kept) = (database.session(), Kept::default());
    session.simple(TABLES).unwrap();
    let lines = |column: &str| reading("lines", &["order_id", "place"], &[], &[column]);
    let wanted = || vec![interest("orders", &["id"]), lines("title")];
    let position = {
        let mut source = prepare(&database, &kept, wanted(), None).unwrap();
        source.head().unwrap()
    };
    let again = |wanted| prepare(&database, &kept, wanted, Some(&position));
    session.simple("ALTER TABLE orders RENAME TO elsewhere").unwrap();
    match again(wanted()) {
        Err(Error::Transient(error)) => assert!(error.message.contains("public.orders is gone"), "{}", error.message),
        other => panic!("{:?}", other.err()),
    }
    let text = refused(again([wanted(), vec![interest("lins", &["id"])]].concat()));
    assert!(text.contains("no table public.lins") && !text.contains("orders"), "{text}");
    session.simple("ALTER TABLE elsewhere RENAME TO orders; ALTER TABLE lines DROP title").unwrap();
    // A column that went is a change of the table, which what reads it is built anew for.
    let mut source = again(wanted()).unwrap();
    let told = drain(&mut source).into_iter().any(|event| matches!(event, Event::TableChanged(it) if it.table == 1));
    assert!(told);
    drop(source);
    let slip = vec![interest("orders", &["id"]), lines("titel")];
    assert!(refused(again(slip)).contains("no column titel"));
}
