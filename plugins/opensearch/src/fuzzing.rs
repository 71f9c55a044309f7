//! What `tests/fuzz` calls: everything that reads what a cluster sent.

use crate::bulk::item_result::item_results;
use crate::http::Decoder;

/// An answer in pieces whose size the first byte says.
pub fn answer(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(usize::from(*size) + 1) {
        match decoder.feed(piece) {
            Ok(None) => {}
            Ok(Some(_)) => decoder = Decoder::default(),
            Err(_) => return,
        }
    }
    let _ = decoder.ended();
}

/// The body of an answer to a bulk request, of as many documents as the first byte says.
pub fn bulk_answer(bytes: &[u8]) {
    let Some((documents, body)) = bytes.split_first() else { return };
    let sent = vec!["users"; usize::from(documents & 7)];
    let _ = item_results(body, sent.into_iter());
}
