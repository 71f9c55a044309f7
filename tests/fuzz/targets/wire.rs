//! What a server sends, in whatever pieces it arrives: messages, or an error.
#![no_main]

use std::time::{Duration, Instant};

use flusso_pg::error::{Error, Result};
use flusso_pg::protocol::transport::{Transport, Verification};
use flusso_pg::protocol::wire::Wire;
use flusso_pg::replication::pgoutput;
use libfuzzer_sys::fuzz_target;

/// A server that sends some bytes, so many at a time, and closes.
struct Bytes {
    left: std::vec::IntoIter<u8>,
    piece: usize,
}

impl Transport for Bytes {
    fn read(&mut self, max: usize, _: Duration) -> Result<Vec<u8>> {
        let read: Vec<u8> = self.left.by_ref().take(max.min(self.piece)).collect();
        if read.is_empty() { Err(Error::Transient("the server closed the connection".to_owned())) } else { Ok(read) }
    }

    fn write(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn start_tls(&mut self, _: &str, _: Verification, _: Option<&str>) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let server = Bytes { left: bytes.to_vec().into_iter(), piece: usize::from(*piece) + 1 };
    let mut wire = Wire::new(Box::new(server), Instant::now() + Duration::from_secs(5));
    while let Ok(frame) = wire.receive() {
        let _ = pgoutput::decode(wire.body(frame));
    }
});
