//! The replication stream: START_REPLICATION, keepalives, status updates, and an orderly end.

use crate::error::{Error, Result};
use crate::protocol::session::Session;
use crate::protocol::sql;
use crate::protocol::wire::{Cut, Frame};
use crate::replication::position::Lsn;
use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest time between two status updates; the server's `wal_sender_timeout` is a minute by default.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// A running stream.
pub struct Stream {
    session: Session,
    confirmed: Lsn,
    reported: Instant,
    interval: Duration,
}

/// What arrived.
pub enum Received {
    /// Nothing that is complete.
    Nothing,
    /// A message of the output plugin; its bytes by [`Stream::payload`].
    Data(Frame),
    /// The server's word that everything up to here was sent; whether it wants an answer.
    Keepalive(Lsn, bool),
}

impl Stream {
    /// Starts it. `timeout` is the server's `wal_sender_timeout`, zero for none.
    pub fn start(mut session: Session, slot: &str, publication: &str, from: Lsn, timeout: Duration) -> Result<Self> {
        let command = format!(
            "START_REPLICATION SLOT {} LOGICAL {from} (proto_version '1', publication_names {})",
            sql::name(slot),
            sql::text(&sql::name(publication))
        );
        let wire = session.wire();
        wire.put(|out| frontend::query(&command, out))?;
        wire.send()?;
        loop {
            let frame = wire.receive()?;
            match frame.tag {
                b'W' => break,
                b'E' => return Err(Error::Server(crate::error::ServerError::parse(wire.body(frame)))),
                _ => {}
            }
        }
        let interval = if timeout.is_zero() { STATUS_INTERVAL } else { STATUS_INTERVAL.min(timeout / 4) };
        Ok(Self { session, confirmed: from, reported: Instant::now(), interval })
    }

    /// What is confirmed to the server.
    pub fn confirmed(&self) -> Lsn {
        self.confirmed
    }

    /// Takes what is confirmed now, and tells the server if it moved or it is time.
    pub fn confirm(&mut self, confirmed: Option<Lsn>) -> Result<()> {
        let moved = confirmed.is_some_and(|lsn| lsn > self.confirmed);
        if let (true, Some(lsn)) = (moved, confirmed) {
            self.confirmed = lsn;
        }
        if moved || self.reported.elapsed() >= self.interval { self.status(false) } else { Ok(()) }
    }

    /// Sends a status. Written, flushed and applied are one: what the host confirmed.
    pub fn status(&mut self, want_reply: bool) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = u64::try_from(now).unwrap_or(0).wrapping_sub(crate::replication::pgoutput::unix_micros(0));
        let lsn = self.confirmed.0;
        let wire = self.session.wire();
        wire.put(|out| {
            let mut status = BytesMut::with_capacity(34);
            status.put_u8(b'r');
            [lsn, lsn, lsn, now].into_iter().for_each(|number| status.put_u64(number));
            status.put_u8(u8::from(want_reply));
            frontend::CopyData::new(status).map(|message| message.write(out))
        })?;
        wire.send()?;
        self.reported = Instant::now();
        Ok(())
    }

    /// The next message that is here already.
    pub fn arrived(&mut self) -> Result<Received> {
        let wire = self.session.wire();
        while let Some(frame) = wire.buffered()? {
            let body = wire.body(frame);
            match (frame.tag, body.first()) {
                (b'd', Some(b'w')) => return Ok(Received::Data(frame)),
                (b'd', Some(b'k')) => {
                    let mut cut = Cut(body.get(1..).unwrap_or_default());
                    let end = Lsn(cut.u64()?);
                    let _clock = cut.u64()?;
                    return Ok(Received::Keepalive(end, cut.u8()? != 0));
                }
                (b'E', _) => return Err(Error::Server(crate::error::ServerError::parse(body)).classified()),
                (b'c' | b'C' | b'Z', _) => {
                    return Err(Error::Transient("the server ended the replication stream".into()));
                }
                _ => {}
            }
        }
        Ok(Received::Nothing)
    }

    /// The output plugin's message in a frame.
    pub fn payload(&self, frame: Frame) -> &[u8] {
        self.session.row(frame).get(25..).unwrap_or_default()
    }

    /// Reads what has arrived, waiting up to `wait`; whether anything has.
    pub fn fill(&mut self, wait: Duration) -> Result<bool> {
        self.session.wire().fill(wait)
    }

    /// Confirms once more, ends the copy and waits up to a second for the server to let go of the slot.
    pub fn close(mut self, confirmed: Option<Lsn>) -> Result<()> {
        self.confirmed = self.confirmed.max(confirmed.unwrap_or_default());
        self.status(false)?;
        let wire = self.session.wire();
        wire.within(Duration::from_secs(1));
        wire.put(|out| {
            frontend::copy_done(out);
            Ok(())
        })?;
        wire.send()?;
        while wire.receive()?.tag != b'Z' {}
        wire.put(|out| {
            frontend::terminate(out);
            Ok(())
        })?;
        wire.send()
    }
}
