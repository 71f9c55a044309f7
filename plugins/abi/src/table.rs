//! The C types; see `include/flusso_plugin.h`, which says what each promises.

#![allow(unsafe_code, reason = "what the C interface promises of its pointers is relied on here, once for both sides")]

use std::ffi::c_void;
use std::mem::ManuallyDrop;

/// The version of this interface; another one does not fit.
pub const VERSION: u32 = 1;

/// The one symbol that a library exports: a function of type [`Entry`].
pub const SYMBOL: &str = "flusso_plugin_v1";

/// The section of the library that holds the manifest, so that it is read before any code of the library runs. On macOS it
/// stands in the segment `__DATA`.
pub const MANIFEST_SECTION: &str = "flusso_manifest";

/// What [`SYMBOL`] is. The table stays as long as the process does.
pub type Entry = extern "C" fn() -> *const Plugin;

/// Bytes that are lent for the time of one call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Bytes {
    /// Where they are; anything if there are none.
    pub data: *const u8,
    /// How many.
    pub length: usize,
}

impl Bytes {
    /// Lends bytes; they have to outlive the call.
    pub const fn lend(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }

    /// The bytes that are lent.
    ///
    /// # Safety
    ///
    /// They are there, and nobody writes to them, for as long as `'a`.
    pub unsafe fn borrow<'a>(self) -> &'a [u8] {
        if self.data.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: so the caller promises.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }
}

/// Bytes that are handed over: who gets them calls `free` once.
#[derive(Debug)]
#[repr(C)]
pub struct Buffer {
    /// Where they are; anything if there are none.
    pub data: *mut u8,
    /// How many.
    pub length: usize,
    /// How many there is room for; only `free` reads it.
    pub capacity: usize,
    /// Gives the memory back; null: there is nothing to give back.
    pub free: Option<unsafe extern "C" fn(data: *mut u8, length: usize, capacity: usize)>,
}

impl Buffer {
    /// Nothing.
    pub const fn empty() -> Self {
        Self { data: std::ptr::null_mut(), length: 0, capacity: 0, free: None }
    }

    /// Hands bytes over.
    pub fn hand_over(bytes: Vec<u8>) -> Self {
        unsafe extern "C" fn free(data: *mut u8, length: usize, capacity: usize) {
            // SAFETY: these are the parts of the vector that `hand_over` took apart, and this is called once.
            drop(unsafe { Vec::from_raw_parts(data, length, capacity) });
        }
        let mut bytes = ManuallyDrop::new(bytes);
        Self { data: bytes.as_mut_ptr(), length: bytes.len(), capacity: bytes.capacity(), free: Some(free) }
    }

    /// The bytes that were handed over, which are given back.
    ///
    /// # Safety
    ///
    /// The buffer is one of this interface, and nobody else has it.
    pub unsafe fn take(self) -> Vec<u8> {
        // SAFETY: so the caller promises.
        let bytes = unsafe { Bytes { data: self.data, length: self.length }.borrow() }.to_vec();
        if let Some(free) = self.free {
            // SAFETY: once, with what it came with.
            unsafe { free(self.data, self.length, self.capacity) };
        }
        bytes
    }
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// The result is there: what the function of the contract returned, which may be one of the contract's errors.
    Answered = 0,
    /// The plugin failed inside (a panic, an assertion). The result is a text that says how. The instance is used no more.
    Failed = 1,
    /// There is no such function.
    Unknown = 2,
    /// The arguments cannot be read.
    Unreadable = 3,
}

/// What an instance may call; lent for as long as the instance lives.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Host {
    /// The size of this struct, which grows at its end.
    pub size: u32,
    /// [`VERSION`].
    pub version: u32,
    /// For `call`.
    pub context: *mut c_void,
    /// Calls a function that the host offers. On the thread of the instance, while the host has called it.
    pub call: unsafe extern "C" fn(context: *mut c_void, function: Bytes, arguments: Bytes, result: *mut Buffer) -> i32,
}

/// What a library is.
#[derive(Debug)]
#[repr(C)]
pub struct Plugin {
    /// The size of this struct, which grows at its end.
    pub size: u32,
    /// [`VERSION`].
    pub version: u32,
    /// The manifest, the same as in its section; empty: the function `plugin.manifest` says it.
    pub manifest: Bytes,
    /// The interfaces of the contract that the plugin exports, by their names in `wit/`, with a space between them.
    pub interfaces: Bytes,
    /// Makes an instance; null: it cannot.
    pub create: unsafe extern "C" fn(host: *const Host) -> *mut c_void,
    /// Calls a function of the contract, `sink.write`. An instance is called on the thread that created it, one call at a time.
    pub call:
        unsafe extern "C" fn(instance: *mut c_void, function: Bytes, arguments: Bytes, result: *mut Buffer) -> i32,
    /// Ends an instance, on its thread.
    pub destroy: unsafe extern "C" fn(instance: *mut c_void),
}

// SAFETY: the pointers are to constants and functions, and nothing writes through them.
unsafe impl Sync for Plugin {}
