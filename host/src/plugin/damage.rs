//! The storage library panics on some files whose pages were altered from outside. Here such a panic becomes an error, without a
//! trace on standard error: the file is damaged, and the operator has to do something about it.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use super::state::StateError;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls the storage library on the file at `path`. A panic in it is returned as an error about that file.
///
/// What the call has changed in memory is not looked at again: the run ends with the error, and a transaction that was not
/// committed is void.
pub(super) fn guarded<R>(path: &Path, call: impl FnOnce() -> Result<R, StateError>) -> Result<R, StateError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let reason = text.unwrap_or_else(|| "it cannot be read".to_owned());
        Err(StateError::Damaged { path: path.to_path_buf(), reason })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        let path = Path::new("/state/state.redb");
        assert_eq!(guarded(path, || Ok(1)).ok(), Some(1));
        let error = guarded::<()>(path, || panic!("a page is {}", "odd")).err().map(|error| error.to_string());
        assert!(
            error.as_deref().is_some_and(|text| text.contains("/state/state.redb is damaged (a page is odd)")),
            "{error:?}"
        );
        assert!(!GUARDED.get());
    }
}
