//! What a search of a sink found, as `flusso-host search` and `GET /search/INDEX` show it.

use serde_json::{Value, json};

/// A place in a document where the query was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlight {
    /// The field's path.
    pub field: String,
    /// Some of its text, escaped as in HTML; what was found stands between `<b>` and `</b>`.
    pub text: String,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// How well it fits.
    pub score: f64,
    /// Its body, a JSON object.
    pub body: Vec<u8>,
    /// Where the query was found.
    pub highlights: Vec<Highlight>,
}

/// What a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// How many documents fit.
    pub total: u64,
    /// The best of them.
    pub hits: Vec<Hit>,
}

impl Found {
    /// All of it as JSON. A body that is none is `null`.
    pub fn to_json(&self) -> Value {
        let hit = |hit: &Hit| {
            let places = hit.highlights.iter().map(|place| (place.field.clone(), Value::from(place.text.clone())));
            json!({
                "id": hit.id, "score": hit.score, "document": serde_json::from_slice::<Value>(&hit.body).unwrap_or_default(),
                "highlights": places.collect::<serde_json::Map<_, _>>(),
            })
        };
        json!({ "total": self.total, "hits": self.hits.iter().map(hit).collect::<Vec<_>>() })
    }
}
