//! What all plugins share: the engine, its clock, the linker, and the compile cache. And the stages of preparation, each
//! of which consumes the one before: [`Checked`] → [`Compiled`] → [`Prepared`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use super::artifact::{Checked, Digest};
use super::cache::{Cache, OwnCode};
use super::compiler::{CompileError, CompileLimits, native_code};
use super::context::Context;
use super::deserialize::deserialize;
use super::engine::engine;
use super::imports;
use super::roles::Roles;
use crate::limits;
use crate::plugin::manifest::{Manifest, Role};
use crate::plugin::native::{Library, LoadError};

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
    /// The code is not valid, or takes too much to compile.
    #[error("{} ({plugin}) does not compile: {source}", path.display())]
    Compile {
        /// The file.
        path: PathBuf,
        /// Name and version.
        plugin: String,
        /// Why not.
        source: CompileError,
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
    /// A native library is not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
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
        let engine = engine(false).map_err(PrepareError::Engine)?;
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

    /// Takes the native code from the cache, or has it compiled within these limits. A native library is loaded.
    pub async fn compile(&self, checked: Checked, limits: CompileLimits) -> Result<Compiled, PrepareError> {
        if checked.is_native() {
            let path = checked.path().to_path_buf();
            let loading = tokio::task::spawn_blocking(move || load(checked));
            return loading.await.map_err(|_| PrepareError::Interrupted { path })?;
        }
        let path = checked.path().to_path_buf();
        let interrupted = |_| PrepareError::Interrupted { path: path.clone() };
        let name = checked.manifest().name.clone();
        let (engine, cache, digest, plugin) =
            (self.engine.clone(), self.cache.clone(), checked.digest().clone(), name.clone());
        let looking = move || cached(&engine, cache.as_ref(), &digest, &plugin);
        if let Some(component) = tokio::task::spawn_blocking(looking).await.map_err(interrupted)? {
            return Ok(Compiled(Loaded::Component { checked, component }));
        }
        let failed = |source| PrepareError::Compile { path: path.clone(), plugin: checked.title(), source };
        let started = std::time::Instant::now();
        tracing::debug!(plugin = name, bytes = checked.size(), "compiling");
        let code = native_code(&self.engine, checked.bytes().to_vec(), limits).await.map_err(failed)?;
        tracing::debug!(plugin = name, elapsed = ?started.elapsed(), "compiled");
        let (engine, cache, digest) = (self.engine.clone(), self.cache.clone(), checked.digest().clone());
        let loading = move || {
            if let Some(Err(error)) = cache.map(|cache| cache.store(&digest, &code)) {
                tracing::warn!(plugin = name, %error, "the compiled plugin could not be kept");
            }
            deserialize(&engine, &OwnCode::compiled(code))
        };
        let component = tokio::task::spawn_blocking(loading).await.map_err(interrupted)?;
        let component = component.map_err(|error| failed(CompileError::Invalid(format!("{error:#}"))))?;
        Ok(Compiled(Loaded::Component { checked, component }))
    }

    /// Links a compiled plugin and finds its roles.
    pub fn prepare(&self, compiled: Compiled) -> Result<Prepared, PrepareError> {
        let (checked, component) = match compiled.0 {
            Loaded::Component { checked, component } => (checked, component),
            Loaded::Native { checked, library } => {
                let interfaces = library.interfaces();
                let reads = checked.manifest().capabilities.iter().any(|asked| asked == "reader");
                let (manifest, digest) = checked.into_parts();
                let (code, engine) = (Code::Native(library), self.engine.clone());
                return Ok(Prepared { inner: Arc::new(Inner { manifest, digest, code, engine, interfaces, reads }) });
            }
        };
        let (path, plugin) = (checked.path().to_path_buf(), checked.title());
        let imports: Vec<_> =
            component.component_type().imports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        let pre = self.linker.instantiate_pre(&component).map_err(|source| PrepareError::Link {
            path: path.clone(),
            plugin: plugin.clone(),
            source,
        })?;
        let exports = component.component_type();
        let interface = |name: &str| Some(name.strip_prefix("flusso:connector/")?.split_once('@')?.0.to_owned());
        let interfaces: Vec<String> = exports.exports(&self.engine).filter_map(|(name, _)| interface(name)).collect();
        let has = |interface: &str| interfaces.iter().any(|name| name == interface);
        let roles = Roles::find(&pre, checked.manifest(), has).map_err(|(role, source)| PrepareError::Role {
            path,
            plugin,
            role,
            source,
        })?;
        let reads = imports.iter().any(|name| name.starts_with("flusso:connector/reader@"));
        // The component's bytes are not needed any more.
        let (manifest, digest) = checked.into_parts();
        let (code, engine) = (Code::Component { pre, roles }, self.engine.clone());
        Ok(Prepared { inner: Arc::new(Inner { manifest, digest, code, engine, interfaces, reads }) })
    }
}

/// What the cache has of a plugin.
fn cached(engine: &Engine, cache: Option<&Cache>, digest: &Digest, plugin: &str) -> Option<Component> {
    let cache = cache?;
    match deserialize(engine, &cache.load(digest)?) {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::debug!(plugin, %error, "a compiled plugin in the cache does not fit");
            cache.remove(digest);
            None
        }
    }
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

/// Loads a library, and looks whether it is what its file says.
fn load(checked: Checked) -> Result<Compiled, PrepareError> {
    let path = checked.path();
    let library = Library::load(path, checked.bytes())?;
    let wrong = |reason: String| LoadError::Table { path: path.to_path_buf(), reason };
    let said = library.manifest();
    if !said.is_empty() && serde_json::from_slice(said).ok().as_ref() != Some(checked.manifest()) {
        return Err(wrong("its code says another manifest than its section `flusso_manifest`".to_owned()).into());
    }
    let interfaces = library.interfaces();
    for role in &checked.manifest().roles {
        if let Some(missing) = role.interfaces().iter().find(|name| !interfaces.iter().any(|has| has == *name)) {
            return Err(wrong(format!("it claims the role `{role}` and does not export `{missing}`")).into());
        }
    }
    Ok(Compiled(Loaded::Native { checked, library }))
}

/// A plugin whose code can run.
pub struct Compiled(Loaded);

/// The code of a plugin, with its bytes and its manifest.
enum Loaded {
    Component { checked: Checked, component: Component },
    Native { checked: Checked, library: Library },
}

/// A plugin that is linked: instances of it cost microseconds. Cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    digest: Digest,
    code: Code,
    engine: Engine,
    interfaces: Vec<String>,
    reads: bool,
}

/// What instances are made of.
pub(super) enum Code {
    Component { pre: InstancePre<Context>, roles: Roles },
    Native(Library),
}

impl Prepared {
    /// What the plugin says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Whether it imports `reader`, and so needs a source plugin that exports one. A
    /// library says so by the capability `reader` in its manifest.
    pub fn reads(&self) -> bool {
        self.inner.reads
    }

    /// The digest of the component.
    pub fn digest(&self) -> &Digest {
        &self.inner.digest
    }

    /// Whether it exports an interface of the contract, by its name.
    pub(super) fn exports(&self, interface: &str) -> bool {
        self.inner.interfaces.iter().any(|name| name == interface)
    }

    /// Whether it is a native library, which no sandbox holds.
    pub fn is_native(&self) -> bool {
        matches!(self.inner.code, Code::Native(_))
    }

    pub(super) fn code(&self) -> &Code {
        &self.inner.code
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }
}
