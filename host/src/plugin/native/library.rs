//! Loading a library and calling it. All `unsafe` of native plugins is here.
#![allow(unsafe_code, reason = "libraries of others are loaded and called; the operator said that they may be")]

use std::ffi::c_void;
use std::io::Write as _;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use flusso_abi::{Buffer, Bytes, Entry, Host, Plugin, SYMBOL, Status, VERSION};

/// Why a library is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be copied to where it is loaded from.
    #[error("{} cannot be copied for loading: {source}; the folder for temporary files (`TMPDIR`) has to take it", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system's loader refused it.
    #[error("{} cannot be loaded: {source}; what it is linked to has to be on this machine, and `TMPDIR` must not be mounted `noexec`", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        source: libloading::Error,
    },
    /// It has not the one symbol.
    #[error("{} exports no `{SYMBOL}`; its author has to export it (`plugins/abi/include/flusso_plugin.h`)", path.display())]
    NoSymbol {
        /// The file.
        path: PathBuf,
    },
    /// It was built for another interface.
    #[error("{} was built for version {found} of the interface of native plugins and this host has {VERSION}; build it again with `flusso-host plugin build --native DIR`", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// What it returned is not what it should be.
    #[error("{}: {reason}; its author has to mend it", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A library that is loaded; for ever.
#[derive(Clone, Copy, Debug)]
pub(in crate::plugin) struct Library {
    table: &'static Plugin,
}

impl Library {
    /// Loads a library from bytes that were read from `path`: what was checked is what runs, and a file that is exchanged later
    /// disturbs nobody.
    pub(in crate::plugin) fn load(path: &Path, bytes: &[u8]) -> Result<Self, LoadError> {
        let own = || path.to_path_buf();
        let copying = tempfile::Builder::new().prefix("flusso-plugin-").tempfile().and_then(|mut file| {
            file.write_all(bytes)?;
            Ok(file.into_temp_path())
        });
        let copy = copying.map_err(|source| LoadError::Copy { path: own(), source })?;
        // SAFETY: its constructors run now, with the rights of this process; the operator allowed that.
        let library = unsafe { libloading::Library::new(&copy) };
        let library = library.map_err(|source| LoadError::Load { path: own(), source })?;
        // SAFETY: the name is that of a function of this type, by the interface.
        let entry = match unsafe { library.get::<Entry>(SYMBOL.as_bytes()) } {
            Ok(entry) => *entry,
            Err(_) => return Err(LoadError::NoSymbol { path: own() }),
        };
        // Threads of it may run for as long as the process does, and its tables are used by them.
        std::mem::forget(library);
        let wrong = |reason: &str| LoadError::Table { path: own(), reason: reason.to_owned() };
        let table = NonNull::new(entry().cast_mut()).ok_or_else(|| wrong("it returned no table"))?;
        if !table.is_aligned() {
            return Err(wrong("its table is not where a table can be"));
        }
        // SAFETY: by the interface these two stand first in every version of the table, which stays.
        let (size, version) = unsafe { ((*table.as_ptr()).size, (*table.as_ptr()).version) };
        if version != VERSION {
            return Err(LoadError::Version { path: own(), found: version });
        }
        if usize::try_from(size).unwrap_or(0) < size_of::<Plugin>() {
            return Err(wrong(&format!("its table has {size} bytes and not {}", size_of::<Plugin>())));
        }
        // SAFETY: it is as large as it has to be, of this version, and stays.
        Ok(Self { table: unsafe { table.as_ref() } })
    }

    /// The manifest, as the loaded code says it.
    pub(in crate::plugin) fn manifest(&self) -> &'static [u8] {
        // SAFETY: by the interface it stays as the table does.
        unsafe { self.table.manifest.borrow() }
    }

    /// The interfaces that it exports.
    pub(in crate::plugin) fn interfaces(&self) -> Vec<String> {
        // SAFETY: by the interface it stays as the table does.
        let text = unsafe { self.table.interfaces.borrow() };
        String::from_utf8_lossy(text).split_whitespace().map(str::to_owned).collect()
    }

    /// Makes an instance on this thread, which asks the host through `requests`.
    pub(super) fn create<'a, F: Fn(&str, &[u8]) -> Result<Vec<u8>, String>>(
        &self,
        requests: &'a Requests<F>,
    ) -> Option<Created<'a>> {
        // SAFETY: the instance ends before `requests` does, which `Created` borrows.
        let instance = unsafe { (self.table.create)(&raw const requests.host) };
        Some(Created { table: self.table, instance: NonNull::new(instance)?, requests: PhantomData })
    }
}

/// What an instance asks of the host. It stays where it is, since the instance has its address.
pub(super) struct Requests<F> {
    answer: F,
    host: Host,
}

impl<F: Fn(&str, &[u8]) -> Result<Vec<u8>, String>> Requests<F> {
    pub(super) fn new(answer: F) -> Box<Self> {
        let size = u32::try_from(size_of::<Host>()).unwrap_or(u32::MAX);
        let host = Host { size, version: VERSION, context: std::ptr::null_mut(), call: answer_request::<F> };
        let mut requests = Box::new(Self { answer, host });
        requests.host.context = (&raw mut *requests).cast();
        requests
    }
}

/// A function of the host, as an instance calls it on its own thread.
unsafe extern "C" fn answer_request<F: Fn(&str, &[u8]) -> Result<Vec<u8>, String>>(
    context: *mut c_void,
    function: Bytes,
    arguments: Bytes,
    result: *mut Buffer,
) -> i32 {
    // SAFETY: the context is that of `Requests::new`, which outlives the instance; only its `answer` is borrowed.
    let answer = unsafe { &(*context.cast::<Requests<F>>()).answer };
    // SAFETY: both are lent for the time of this call.
    let (function, arguments) = unsafe { (function.borrow(), arguments.borrow()) };
    let (status, bytes) = match answer(&String::from_utf8_lossy(function), arguments) {
        Ok(bytes) => (Status::Answered, bytes),
        Err(reason) => (Status::Failed, reason.into_bytes()),
    };
    if !result.is_null() {
        // SAFETY: the instance gives a place for the result.
        unsafe { result.write(Buffer::hand_over(bytes)) };
    }
    status as i32
}

/// An instance on the thread that made it.
pub(super) struct Created<'a> {
    table: &'static Plugin,
    instance: NonNull<c_void>,
    requests: PhantomData<&'a ()>,
}

impl Created<'_> {
    /// Calls a function of the contract. Returns what it came to, and the result.
    pub(super) fn call(&self, function: &str, arguments: &[u8]) -> (i32, Vec<u8>) {
        let mut result = Buffer::empty();
        // SAFETY: the instance lives, this is its thread, one call is made at a time, and what is lent outlives the call.
        let status = unsafe {
            (self.table.call)(
                self.instance.as_ptr(),
                Bytes::lend(function.as_bytes()),
                Bytes::lend(arguments),
                &raw mut result,
            )
        };
        // SAFETY: by the interface the result is a buffer that is handed over.
        (status, unsafe { result.take() })
    }
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        // SAFETY: once, on its thread; nobody can call it any more.
        unsafe { (self.table.destroy)(self.instance.as_ptr()) };
    }
}
