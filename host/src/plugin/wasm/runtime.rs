//! What all plugins share: the engine, its clock, the linker, and the compile cache. And the stages of preparation, each
//! of which consumes the one before: [`Checked`] → [`Compiled`] → [`Prepared`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine};

use super::artifact::{Checked, Digest};
use super::cache::Cache;
use super::context::Context;
use super::imports;
use super::roles::Roles;
use crate::limits;
use crate::plugin::manifest::{Manifest, Role};

/// Compiles and prepares plugins. One a process.
pub struct Runtime {
    engine: Engine,
    linker: Linker<Context>,
    cache: Option<Cache>,
}

/// A plugin cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The engine itself cannot be had.
    #[error("the WebAssembly engine cannot start: {0:#}")]
    Engine(wasmtime::Error),
    /// The code is not valid.
    #[error("{} ({plugin}) does not compile: {source:#}", path.display())]
    Compile {
        /// The file.
        path: PathBuf,
        /// Name and version.
        plugin: String,
        /// What wasmtime said.
        source: wasmtime::Error,
    },
    /// It imports what this host does not offer, or something in another shape.
    #[error(
        "{} ({plugin}) wants something this host does not offer: {source:#}; a plugin may import flusso:connector and WASI \
         0.2 clocks, random, stdio, filesystem and http", path.display()
    )]
    Link {
        /// The file.
        path: PathBuf,
        /// Name and version.
        plugin: String,
        /// What wasmtime said.
        source: wasmtime::Error,
    },
    /// An interface is there and lacks a function.
    #[error("{} ({plugin}) lacks a part of the role `{role}`: {source:#}; its author has to export it", path.display())]
    Role {
        /// The file.
        path: PathBuf,
        /// Name and version.
        plugin: String,
        /// Which role.
        role: Role,
        /// What wasmtime said.
        source: wasmtime::Error,
    },
    /// Compiling was cut short.
    #[error("compiling {} was interrupted", path.display())]
    Interrupted {
        /// The file.
        path: PathBuf,
    },
}

/// Where compiled plugins are kept unless the operator says otherwise.
pub fn default_cache() -> Option<PathBuf> {
    dirs::cache_dir().map(|cache| cache.join("flusso-host").join("compiled"))
}

impl Runtime {
    /// Starts the engine and its clock. Without a folder, every start compiles.
    pub fn new(cache: Option<&Path>) -> Result<Self, PrepareError> {
        let mut config = Config::new();
        // Guests are called on fibers and have no async parts of their own: calls are three to five times cheaper.
        config.concurrency_support(false).epoch_interruption(true);
        // One function after the other: a plugin is compiled once, and side by side it takes 60 MiB more than a run ever does.
        config.parallel_compilation(false);
        let engine = Engine::new(&config).map_err(PrepareError::Engine)?;
        tick(&engine).map_err(|error| PrepareError::Engine(error.into()))?;
        let mut linker = Linker::new(&engine);
        imports::add_to_linker(&mut linker).map_err(PrepareError::Engine)?;
        let cache = cache.and_then(|folder| match Cache::open(folder, &engine) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "compiled plugins cannot be kept; every start compiles");
                None
            }
        });
        Ok(Self { engine, linker, cache })
    }

    /// Whether a component is in the compile cache.
    pub fn is_cached(&self, digest: &Digest) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.has(digest))
    }

    /// Takes the compiled code from the cache, or compiles; on a thread that may block.
    pub async fn compile(&self, checked: Checked) -> Result<Compiled, PrepareError> {
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let path = checked.path().to_path_buf();
        let compiling = tokio::task::spawn_blocking(move || compile(&engine, cache.as_ref(), checked));
        compiling.await.unwrap_or(Err(PrepareError::Interrupted { path }))
    }

    /// Links a compiled plugin and finds its roles.
    pub fn prepare(&self, compiled: Compiled) -> Result<Prepared, PrepareError> {
        let Compiled { checked, component } = compiled;
        let (path, plugin) = (checked.path().to_path_buf(), checked.title());
        let imports: Vec<_> =
            component.component_type().imports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        let pre = self.linker.instantiate_pre(&component).map_err(|source| PrepareError::Link {
            path: path.clone(),
            plugin: plugin.clone(),
            source,
        })?;
        let exports = component.component_type();
        let has = |interface: &str| {
            let interface = format!("flusso:connector/{interface}@");
            exports.exports(&self.engine).any(|(name, _)| name.starts_with(&interface))
        };
        let roles = Roles::find(&pre, checked.manifest(), has).map_err(|(role, source)| PrepareError::Role {
            path,
            plugin,
            role,
            source,
        })?;
        let reads = imports.iter().any(|name| name.starts_with("flusso:connector/reader@"));
        // The component's bytes are not needed any more.
        let (manifest, digest) = checked.into_parts();
        Ok(Prepared { inner: Arc::new(Inner { manifest, digest, pre, roles, reads }) })
    }
}

fn compile(engine: &Engine, cache: Option<&Cache>, checked: Checked) -> Result<Compiled, PrepareError> {
    let digest = checked.digest();
    if let Some((cache, entry)) = cache.and_then(|cache| Some((cache, cache.load(digest)?))) {
        match super::deserialize::deserialize(engine, &entry) {
            Ok(component) => return Ok(Compiled { checked, component }),
            Err(error) => {
                tracing::debug!(plugin = checked.manifest().name, %error, "a compiled plugin in the cache does not fit");
                cache.remove(digest);
            }
        }
    }
    let started = std::time::Instant::now();
    let compiled = Component::from_binary(engine, checked.bytes());
    let component = compiled.map_err(|source| PrepareError::Compile {
        path: checked.path().to_path_buf(),
        plugin: checked.title(),
        source,
    })?;
    tracing::debug!(plugin = checked.manifest().name, elapsed = ?started.elapsed(), "compiled");
    if let Some(cache) = cache {
        let stored = component.serialize().map_err(std::io::Error::other).and_then(|code| cache.store(digest, &code));
        if let Err(error) = stored {
            tracing::warn!(plugin = checked.manifest().name, %error, "the compiled plugin could not be kept");
        }
    }
    Ok(Compiled { checked, component })
}

/// A plain thread on a weak engine: it ends with the engine, and a busy runtime cannot stop it.
fn tick(engine: &Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    let run = move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(limits::guest::EPOCH_TICK);
        }
    };
    std::thread::Builder::new().name("epoch".to_owned()).spawn(run).map(drop)
}

/// A plugin whose code is native.
pub struct Compiled {
    checked: Checked,
    component: Component,
}

/// A plugin that is linked: instances of it cost microseconds. Cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    digest: Digest,
    pre: InstancePre<Context>,
    roles: Roles,
    reads: bool,
}

impl Prepared {
    /// What the plugin says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Whether it imports `reader`, and so needs a source plugin that exports one.
    pub fn reads(&self) -> bool {
        self.inner.reads
    }

    /// The digest of the component.
    pub fn digest(&self) -> &Digest {
        &self.inner.digest
    }

    pub(super) fn pre(&self) -> &InstancePre<Context> {
        &self.inner.pre
    }

    pub(super) fn roles(&self) -> &Roles {
        &self.inner.roles
    }
}
