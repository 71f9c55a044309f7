//! A message of the replication stream, and values of columns as text.
#![no_main]

use flusso_pg::protocol::codec::{self, Kind};
use flusso_pg::replication::pgoutput;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = pgoutput::decode(bytes);
    if let Some((oid, text)) = bytes.split_first_chunk() {
        let kind = Kind::of(u32::from_be_bytes(*oid));
        let value = kind.decode(text);
        let mut key = Vec::new();
        codec::distinguish(&value, &mut key);
        let _ = codec::encode(&value);
    }
});
