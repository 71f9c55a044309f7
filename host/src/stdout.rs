//! The one built-in sink: documents as NDJSON on standard output, one line a document.
//!
//! ```text
//! {"op":"upsert","index":"users","id":"42","document":{…}}
//! {"op":"delete","index":"users","id":"42"}
//! {"op":"clear","index":"users"}
//! ```
//!
//! What was printed cannot be taken back, so it has no generations, and "durable" means that the reader at the other end
//! of the pipe has been handed it. Which indexes are seeded is remembered in the host's state.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::engine::StageError;
use crate::engine::stage::{Documents, Ensured, Flushed, Mutation, Result, Sink, State, StateError, Writer};
use crate::limits;
use crate::model::{HistoryId, Mapping, Target, Version};

/// Documents as lines on standard output.
pub struct Stdout {
    name: String,
    state: Arc<dyn State>,
    pretty: bool,
}

impl Stdout {
    /// A sink of this name that remembers in `state` what is seeded. `pretty`: documents over several lines, for a person.
    pub fn new(name: impl Into<String>, state: Arc<dyn State>, pretty: bool) -> Self {
        Self { name: name.into(), state, pretty }
    }
}

#[async_trait]
impl Sink for Stdout {
    fn name(&self) -> &str {
        &self.name
    }

    async fn open(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Lines {
            sink: self.name.clone(),
            state: Arc::clone(&self.state),
            pretty: self.pretty,
            indexes: Vec::new(),
            buffer: Vec::new(),
        }))
    }
}

/// An opened standard output.
struct Lines {
    sink: String,
    state: Arc<dyn State>,
    pretty: bool,
    indexes: Vec<Index>,
    buffer: Vec<u8>,
}

struct Index {
    /// `"index":"users"`, quoted once.
    quoted: String,
    /// The state's key that says under which history it is seeded; empty: something was printed. The key of another
    /// mapping's mark has the same beginning.
    key: String,
    /// How far that beginning goes.
    common: usize,
    /// Whether the state says that a reader may hold something of it.
    told: bool,
}

fn state_failed(error: StateError) -> StageError {
    StageError::Fatal(format!("the state of the host: {error}"))
}

impl Lines {
    fn index(&self, target: Target) -> Result<&Index> {
        self.indexes.get(target as usize).ok_or_else(|| StageError::Fatal(format!("there is no target {target}")))
    }

    /// Sets the one mark of an index, in the place of those it has under other mappings.
    async fn mark(&mut self, target: Target, history: &[u8]) -> Result<()> {
        let index = self.index(target)?;
        let common = index.key.get(..index.common).unwrap_or_default();
        let known = self.state.scan(common).await.map_err(state_failed)?;
        if history.is_empty() && known.is_empty() {
            return Ok(());
        }
        let mut mutations: Vec<_> = known.into_iter().map(|(key, _)| Mutation::Delete(key)).collect();
        mutations.push(Mutation::Put(index.key.clone(), history.to_vec()));
        self.state.apply(mutations).await.map_err(state_failed)?;
        // An empty index is seeded before anything was printed of it; its first line must not take the mark away.
        self.indexes.iter_mut().skip(target as usize).take(1).for_each(|index| index.told = true);
        Ok(())
    }

    /// Before the first line of an index: a reader may hold it from here on, whether or not a seeding comes to its end, so
    /// what is seeded next begins with a clear.
    async fn tell(&mut self, target: Target) -> Result<()> {
        let Some(index) = self.indexes.get_mut(target as usize).filter(|index| !index.told) else { return Ok(()) };
        index.told = true;
        self.state.apply(vec![Mutation::Put(index.key.clone(), Vec::new())]).await.map_err(state_failed)
    }

    /// Hands over what is buffered.
    async fn hand_over(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let written = tokio::task::spawn_blocking(move || {
            let mut out = io::stdout().lock();
            out.write_all(&buffer).and_then(|()| out.flush()).map(|()| buffer)
        });
        match written.await {
            Ok(Ok(mut buffer)) => {
                buffer.clear();
                self.buffer = buffer;
                Ok(())
            }
            Ok(Err(error)) => Err(StageError::Fatal(format!("standard output was closed by its reader: {error}"))),
            Err(error) => Err(StageError::Fatal(format!("writing to standard output: {error}"))),
        }
    }
}

/// Adds a body as one line: a line break in a JSON text can only be white space.
fn push_line(buffer: &mut Vec<u8>, body: &[u8]) {
    let start = buffer.len();
    buffer.extend_from_slice(body);
    if body.contains(&b'\n') || body.contains(&b'\r') {
        for byte in buffer.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
}

fn push_pretty(buffer: &mut Vec<u8>, body: &[u8]) {
    let parsed = serde_json::from_slice::<serde_json::Value>(body);
    match parsed.and_then(|document| serde_json::to_vec_pretty(&document)) {
        Ok(pretty) => buffer.extend_from_slice(&pretty),
        Err(_) => push_line(buffer, body),
    }
}

fn push_json(buffer: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(buffer, text);
}

#[async_trait]
impl Writer for Lines {
    fn is_stream(&self) -> bool {
        true
    }

    async fn ensure_index(&mut self, mapping: &Mapping) -> Result<Ensured> {
        let mut quoted = b"\"index\":".to_vec();
        push_json(&mut quoted, &mapping.index);
        let quoted = String::from_utf8(quoted).map_err(|error| StageError::Fatal(error.to_string()))?;
        let target = Target::try_from(self.indexes.len()).map_err(|error| StageError::Fatal(error.to_string()))?;
        let mut key = format!("stdout/{}/{}@", self.sink, mapping.index);
        let common = key.len();
        // What was printed under any mapping is what a reader may still hold.
        let empty = self.state.scan(&key).await.map_err(state_failed)?.is_empty();
        key.push_str(&mapping.hash);
        self.indexes.push(Index { quoted, key, common, told: !empty });
        Ok(Ensured { target, empty })
    }

    async fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>> {
        let value = self.state.get(&self.index(target)?.key).await.map_err(state_failed)?;
        let history = value.and_then(|value| String::from_utf8(value).ok());
        Ok(history.filter(|history| !history.is_empty()).map(HistoryId::from))
    }

    async fn mark_seeded(&mut self, target: Target, history: &HistoryId) -> Result<()> {
        self.mark(target, history.as_bytes()).await
    }

    async fn mark_unseeded(&mut self, target: Target) -> Result<()> {
        self.mark(target, b"").await
    }

    async fn write(&mut self, documents: Documents) -> Result<()> {
        for (target, document) in documents.iter() {
            self.tell(target).await?;
            let op: &[u8] = if document.body.is_some() { b"{\"op\":\"upsert\"," } else { b"{\"op\":\"delete\"," };
            self.buffer.extend_from_slice(op);
            let index = self
                .indexes
                .get(target as usize)
                .ok_or_else(|| StageError::Fatal(format!("there is no target {target}")))?;
            self.buffer.extend_from_slice(index.quoted.as_bytes());
            self.buffer.extend_from_slice(b",\"id\":");
            push_json(&mut self.buffer, &document.id);
            if let Some(body) = &document.body {
                self.buffer.extend_from_slice(b",\"document\":");
                let push = if self.pretty { push_pretty } else { push_line };
                push(&mut self.buffer, body);
            }
            self.buffer.extend_from_slice(b"}\n");
            if self.buffer.len() >= limits::program::STDOUT_BUFFER_BYTES {
                self.hand_over().await?;
            }
        }
        Ok(())
    }

    async fn clear(&mut self, target: Target, _: Version) -> Result<()> {
        let line = format!("{{\"op\":\"clear\",{}}}\n", self.index(target)?.quoted);
        self.buffer.extend_from_slice(line.as_bytes());
        Ok(())
    }

    async fn flush(&mut self, _: bool, _: Duration) -> Result<Flushed> {
        self.hand_over().await?;
        Ok(Flushed::visible_at_once(Vec::new()))
    }

    async fn begin_rebuild(&mut self, _: &Mapping, _: bool) -> Result<Target> {
        Err(StageError::Unsupported("a generation beside the live one".to_owned()))
    }

    async fn promote(&mut self, _: Target) -> Result<()> {
        Err(StageError::Unsupported("a generation beside the live one".to_owned()))
    }

    async fn abandon(&mut self, _: Target) -> Result<()> {
        Err(StageError::Unsupported("a generation beside the live one".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_with_line_breaks_stays_one_line() {
        let mut buffer = b"x".to_vec();
        push_line(&mut buffer, b"{\r\n \"a\": 1\n}");
        assert_eq!(buffer, b"x{   \"a\": 1 }");
    }
}
