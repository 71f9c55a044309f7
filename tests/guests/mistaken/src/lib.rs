//! A builder of one table, `items (id, v, w)`, whose interest names `id` and `v`. The setting `how` makes it make a mistake that the
//! host has to notice.

use flusso_plugin::bindings::host::flusso::connector::reader;
use flusso_plugin::{
    Affected, Builder, Change, Comparison, Condition, DocumentId, Error, Filter, IndexRequest, Key, Mapping, Outcome,
    Relation, Result, Row, Scope, Settings, TableInterest, TableName, Value,
};

/// The builder.
#[derive(serde::Deserialize)]
pub struct Mistaken {
    #[serde(default)]
    how: String,
    file: Option<String>,
    token: Option<String>,
    address: Option<String>,
    /// What was read while it was opened.
    #[serde(skip)]
    early: String,
}

flusso_plugin::plugin! { manifest: include_str!("../manifest.json"), builder: Mistaken }

fn table(name: &str) -> TableName {
    TableName { schema: "public".to_owned(), name: name.to_owned() }
}

fn rows(name: &str, columns: &[&str], keys: &[Key]) -> Result<Vec<Row>> {
    let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
    reader::rows(&table(name), &columns, keys)
}

/// Rows by a condition that would change the database.
fn raw(keys: &[Key]) -> Result<Vec<Row>> {
    reader::related(&Relation {
        table: table("items"),
        columns: vec!["v".to_owned()],
        by: vec!["id".to_owned()],
        values: keys.to_vec(),
        filters: vec![Filter::Raw("nextval('numbers') > 0".to_owned())],
        order: Vec::new(),
        limit: None,
        extra: None,
    })
}

/// The rows with `w` = 1, by a relation.
fn filtered(keys: &[Key]) -> Result<Vec<Row>> {
    let condition = Condition { column: "w".to_owned(), comparison: Comparison::Eq, operands: vec![Value::Integer(1)] };
    reader::related(&Relation {
        table: table("items"),
        columns: vec!["v".to_owned()],
        by: vec!["id".to_owned()],
        values: keys.to_vec(),
        filters: vec![Filter::Condition(condition)],
        order: Vec::new(),
        limit: None,
        extra: None,
    })
}

impl Mistaken {
    fn read(&self, keys: &[Key]) -> Result<Vec<Row>> {
        match self.how.as_str() {
            "tells" => {
                let token = self.token.as_deref().unwrap_or_default();
                flusso_plugin::log::info(&format!("the token is {token}"), &[("token", token)]);
                Err(Error::Fatal(format!("refused: {token} is no good")))
            }
            "column" => rows("items", &["v", "w"], keys),
            "table" => rows("others", &["v"], keys),
            "filter" => filtered(keys),
            "raw" => raw(keys),
            "swallowed" => {
                // As an author does who thinks that the row may not be there.
                let _ = rows("items", &["w"], keys);
                rows("items", &["v"], keys)
            }
            _ => rows("items", &["v"], keys),
        }
    }

    fn body(&self, id: i64, value: &Value) -> Result<Vec<u8>> {
        if self.how == "not-json" && id == 2 {
            return Ok(b"{\"id\":2,\"v\":nul}".to_vec());
        }
        let Value::Text(value) = value else { return Err(Error::Fatal("v is no text".to_owned())) };
        let file = self.file.as_ref().map(|path| std::fs::read_to_string(path).map_err(|error| error.to_string()));
        let file = file.map(|read| read.unwrap_or_else(|error| error));
        let Self { token, address, early, .. } = self;
        let document = serde_json::json!({ "id": id, "v": value, "file": file, "token": token, "address": address, "early": early });
        serde_json::to_vec(&document).map_err(|error| Error::Fatal(error.to_string()))
    }
}

impl Builder for Mistaken {
    fn open(settings: Settings, _: Vec<IndexRequest>) -> Result<Self> {
        let mut opened: Self = settings.parse()?;
        assert!(option_env!("FLUSSO_TEST_OPEN").is_none(), "does not open");
        if opened.how == "early" {
            let read = rows("secrets", &["word"], &[vec![Value::Integer(1)]]);
            // A guest that does not mind a refusal.
            opened.early = format!("{read:?}");
        }
        Ok(opened)
    }

    fn mappings(&mut self) -> Result<Vec<Mapping>> {
        // The test of exchanges builds other files of this plugin by variables.
        let (index, hash) = ("items".to_owned(), option_env!("FLUSSO_TEST_HASH").unwrap_or("1").to_owned());
        Ok(vec![Mapping { index, hash, fields: Vec::new(), prefix: String::new(), extra: None }])
    }

    fn scopes(&mut self) -> Result<Vec<Scope>> {
        Ok(vec![Scope { index: 0, root: 0, recorded_relations: Vec::new(), extra: None }])
    }

    fn interest(&mut self) -> Result<Vec<TableInterest>> {
        let (key, reads) = (vec!["id".to_owned()], Some(vec!["v".to_owned()]));
        let table = table("items");
        let links = if self.how == "links" { vec!["w".to_owned()] } else { Vec::new() };
        Ok(vec![TableInterest { table, key, links, reads, wants_changed: false, extra: None }])
    }

    fn resolve(&mut self, changes: Vec<Change>) -> Result<Affected> {
        let ids = changes.into_iter().map(|change| DocumentId { index: 0, key: change.key }).collect();
        Ok(flusso_plugin::affected(ids))
    }

    fn build_many(&mut self, ids: Vec<DocumentId>) -> Result<Vec<Outcome>> {
        if self.how == "trap" {
            panic!("a bug of the builder");
        }
        reader::begin()?;
        let keys: Vec<Key> = ids.iter().map(|id| id.key.clone()).collect();
        let found = self.read(&keys)?;
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in &ids {
            let number = match id.key.first() {
                Some(Value::Integer(number)) => *number,
                _ => return Err(Error::Fatal("the key is no number".to_owned())),
            };
            let of = |row: &&Row| matches!(row.first(), Some(Value::Integer(found)) if *found == number);
            match found.iter().find(of).and_then(|row| row.get(1)) {
                Some(Value::Text(text)) if text == "poison" => panic!("item {number} is poison"),
                Some(value) => outcomes.push(Outcome::Built(self.body(number, value)?)),
                None => outcomes.push(Outcome::Absent),
            }
        }
        if self.how == "fewer" {
            outcomes.pop();
        }
        Ok(outcomes)
    }
}
