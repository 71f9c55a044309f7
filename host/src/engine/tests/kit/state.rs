//! The host's state.

use std::sync::Arc;

use async_trait::async_trait;

use super::run::World;
use crate::engine::stage::{Mutation, State, StateError};

pub(super) struct States {
    pub(super) world: Arc<World>,
    pub(super) incarnation: u64,
}

impl States {
    async fn gate(&self, call: &str) -> Result<(), StateError> {
        match self.world.gate(self.incarnation, call).await {
            Err(crate::engine::StageError::Fatal(error)) => Err(Arc::new(std::io::Error::other(error))),
            // A state has no passing errors: a run of bad luck is only slow here.
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl State for States {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.gate("state.get").await?;
        Ok(self.world.lock().state.get(key).cloned())
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.gate("state.scan").await?;
        let inner = self.world.lock();
        let entries = inner.state.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    async fn apply(&self, mutations: Vec<Mutation>) -> Result<(), StateError> {
        self.gate(if mutations.is_empty() { "state.links" } else { "state.apply" }).await?;
        {
            let mut inner = self.world.lock();
            for mutation in mutations {
                match mutation {
                    Mutation::Put(key, value) => inner.state.insert(key, value),
                    Mutation::Delete(key) => inner.state.remove(&key),
                    Mutation::RemoveLinks(batch) => {
                        inner.links.confirm(batch);
                        None
                    }
                    Mutation::RetainRelations(relations) => {
                        inner.links.retain(&relations);
                        None
                    }
                };
            }
            inner.links.store();
        }
        // Applied, and the host may die before it knows.
        self.gate("state.applied").await
    }
}
