//! `net`: byte streams to other machines. The grant is asked and the name resolved here, at each connect; nothing else in
//! the host opens a connection for a guest.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use wasmtime::component::Resource;

use super::stream::Stream;
use super::tls;
use crate::limits;
use crate::plugin::capability::{Address, Grants};
use crate::plugin::wasm::bindings::flusso::connector::net::{self, NetError, TlsOptions};
use crate::plugin::wasm::context::Context;

/// One connection of a guest.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection {
    /// None after a failed upgrade: it cannot be used any more.
    stream: Option<Box<dyn Stream>>,
    buffer: Vec<u8>,
    secured: bool,
}

impl Connection {
    fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Some(Box::new(stream)), buffer: vec![0; limits::guest::FIRST_READ_BYTES], secured: false }
    }

    fn stream(&mut self) -> Result<Pin<&mut Box<dyn Stream>>, NetError> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| NetError::Closed("the connection broke earlier".to_owned()))
    }

    /// What has arrived, waiting for the first of it; then as much as can be had without waiting.
    async fn read(&mut self, max: usize) -> Result<Vec<u8>, NetError> {
        let max = max.clamp(1, limits::guest::READ_BYTES);
        if self.buffer.len() < max && self.buffer.len() < limits::guest::READ_BYTES {
            // The last read filled it; more may be waiting than it holds.
            let grown = self.buffer.len().saturating_mul(2).min(limits::guest::READ_BYTES);
            if self.buffer.last() != Some(&0) {
                self.buffer.resize(grown, 0);
            }
        }
        let Self { stream, buffer, .. } = self;
        let stream = stream.as_mut().ok_or_else(|| NetError::Closed("the connection broke earlier".to_owned()))?;
        let room = max.min(buffer.len());
        let mut space = ReadBuf::new(buffer.get_mut(..room).unwrap_or_default());
        let ended = poll_fn(|task| {
            loop {
                let before = space.filled().len();
                if space.remaining() == 0 {
                    return Poll::Ready(Ok(false));
                }
                match Pin::new(&mut *stream).poll_read(task, &mut space) {
                    Poll::Ready(Ok(())) if space.filled().len() == before => return Poll::Ready(Ok(true)),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) if before == 0 => return Poll::Ready(Err(error)),
                    // What came before the error is handed out first; the error comes again.
                    Poll::Ready(Err(_)) => return Poll::Ready(Ok(false)),
                    Poll::Pending if before > 0 => return Poll::Ready(Ok(false)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        let ended = ended.await.map_err(closed)?;
        let filled = space.filled();
        match ended && filled.is_empty() {
            true => Err(NetError::Closed("the other side closed the connection".to_owned())),
            false => Ok(filled.to_vec()),
        }
    }

    /// Sends all of it. A peer that holds the connection and takes nothing for so long would hold the guest's call as well.
    async fn write(&mut self, bytes: &[u8], patience: Duration) -> Result<(), NetError> {
        let sent = self.send(bytes, patience).await;
        if sent.is_err() {
            // A part of it may be on its way.
            self.stream = None;
        }
        sent
    }

    async fn send(&mut self, bytes: &[u8], patience: Duration) -> Result<(), NetError> {
        let mut stream = self.stream()?;
        let stuck = |_| NetError::Closed(format!("the other side has not read for {} s", patience.as_secs_f32()));
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = timeout(patience, stream.write(rest)).await.map_err(stuck)?.map_err(closed)?;
            if sent == 0 {
                return Err(NetError::Closed("the other side closed the connection".to_owned()));
            }
            rest = rest.get(sent..).unwrap_or_default();
        }
        timeout(patience, stream.flush()).await.map_err(stuck)?.map_err(closed)
    }
}

fn closed(error: io::Error) -> NetError {
    NetError::Closed(error.to_string())
}

/// The IP addresses of a name that the guest may connect to; an error if there is none.
async fn resolved(grants: &Grants, address: &Address, host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|error| NetError::Unreachable(format!("{address}: {error}")))?;
    let (mut may, mut refused) = (Vec::new(), None);
    for ip in found {
        match grants.may_resolve_to(address, ip.ip()) {
            Ok(()) => may.push(ip),
            Err(denied) => refused = Some(denied),
        }
    }
    match (may.is_empty(), refused) {
        (true, Some(denied)) => Err(NetError::Denied(denied.to_string())),
        (true, None) => Err(NetError::Unreachable(format!("{address}: the name has no address"))),
        (false, _) => Ok(may),
    }
}

/// Connects, or says in the contract's words why not.
async fn connect(grants: &Grants, address: &Address, limit: Duration) -> Result<Connection, NetError> {
    let connecting = async {
        let unreachable = |error: io::Error| NetError::Unreachable(format!("{address}: {error}"));
        match address {
            Address::Unix(path) => UnixStream::connect(path).await.map(Connection::new).map_err(unreachable),
            Address::Tcp(host, port) => {
                let resolved = resolved(grants, address, host, *port).await?;
                let stream = TcpStream::connect(resolved.as_slice()).await.map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                Ok(Connection::new(stream))
            }
        }
    };
    match timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(NetError::Unreachable(format!("{address}: no answer within {} ms", limit.as_millis()))),
    }
}

impl net::Host for Context {
    async fn connect(
        &mut self,
        address: String,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<Resource<Connection>, NetError>> {
        let address = match Address::parse(&address) {
            Ok(address) => address,
            Err(error) => return Ok(Err(NetError::Invalid(error.to_string()))),
        };
        if let Err(denied) = self.setup.grants.may_connect(&address) {
            return Ok(Err(NetError::Denied(denied.to_string())));
        }
        if self.connections >= limits::guest::CONNECTIONS {
            return Ok(Err(NetError::Invalid(format!(
                "a plugin has at most {} connections at a time",
                limits::guest::CONNECTIONS
            ))));
        }
        let limit = Duration::from_millis(timeout_ms.into()).min(self.setup.limits.call_timeout);
        Ok(match connect(&self.setup.grants, &address, limit).await {
            Ok(connection) => {
                self.connections += 1;
                Ok(self.table.push(connection)?)
            }
            Err(error) => Err(error),
        })
    }
}

impl net::HostConnection for Context {
    async fn read(
        &mut self,
        of: Resource<Connection>,
        max: u32,
        wait_ms: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, NetError>> {
        let connection = self.table.get_mut(&of)?;
        let reading = connection.read(usize::try_from(max).unwrap_or(limits::guest::READ_BYTES));
        Ok(timeout(Duration::from_millis(wait_ms.into()), reading).await.unwrap_or(Ok(Vec::new())))
    }

    async fn write(&mut self, of: Resource<Connection>, bytes: Vec<u8>) -> wasmtime::Result<Result<(), NetError>> {
        let patience = self.setup.limits.call_timeout / 3;
        Ok(self.table.get_mut(&of)?.write(&bytes, patience).await)
    }

    async fn start_tls(
        &mut self,
        of: Resource<Connection>,
        options: TlsOptions,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, NetError>> {
        let connection = self.table.get_mut(&of)?;
        if connection.secured {
            return Ok(Err(NetError::Invalid("the connection speaks TLS already".to_owned())));
        }
        let Some(stream) = connection.stream.take() else {
            return Ok(Err(NetError::Closed("the connection broke earlier".to_owned())));
        };
        Ok(match tls::upgrade(stream, options).await {
            Ok((secured, digest)) => {
                connection.stream = Some(secured);
                connection.secured = true;
                Ok(digest)
            }
            Err(error) => Err(error),
        })
    }

    async fn drop(&mut self, of: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(of)?;
        self.connections = self.connections.saturating_sub(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn reads_what_is_there_in_one_go_and_says_when_it_ends() {
        let (mut far, near) = tokio::io::duplex(1 << 20);
        let mut connection = Connection::new(near);
        let sent = vec![7; 300_000];
        assert!(far.write_all(&sent).await.is_ok());
        let mut got = Vec::new();
        let mut reads = 0;
        while got.len() < sent.len() {
            got.extend(connection.read(1 << 20).await.unwrap_or_default());
            reads += 1;
        }
        assert!(got == sent && reads < 10, "{reads} reads");
        drop(far);
        assert!(matches!(connection.read(10).await, Err(NetError::Closed(_))));
    }

    #[tokio::test]
    async fn writes_all_of_it() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut connection = Connection::new(near);
        let reading = tokio::spawn(async move {
            let mut got = vec![0; 1_000];
            far.read_exact(&mut got).await.map(|_| got)
        });
        assert_eq!(connection.write(&[5; 1_000], Duration::from_secs(60)).await, Ok(()));
        assert_eq!(reading.await.ok().and_then(Result::ok), Some(vec![5; 1_000]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_reading_is_given_up() {
        let (far, near) = tokio::io::duplex(64);
        let mut connection = Connection::new(near);
        let answer = connection.write(&[5; 1_000], Duration::from_secs(10)).await;
        assert!(matches!(&answer, Err(NetError::Closed(text)) if text.contains("not read for 10 s")), "{answer:?}");
        let answer = connection.write(&[5], Duration::from_secs(10)).await;
        assert!(matches!(&answer, Err(NetError::Closed(text)) if text.contains("earlier")), "{answer:?}");
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_is_not_given_up() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut connection = Connection::new(near);
        let reading = tokio::spawn(async move {
            let mut got = 0;
            while got < 1_000 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                got += far.read(&mut [0; 64]).await.unwrap_or(1_000);
            }
        });
        assert_eq!(connection.write(&[5; 1_000], Duration::from_secs(10)).await, Ok(()));
        assert!(reading.await.is_ok());
    }

    #[tokio::test]
    async fn a_name_is_not_followed_to_an_address_that_is_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
        let port = port.unwrap_or_else(|error| panic!("{error}"));
        let here = Address::tcp("localhost", port);
        // As if a whole domain were granted, and a name in it resolved to this machine.
        let answer = connect(&Grants::none(), &here, Duration::from_secs(5)).await;
        assert!(
            matches!(answer, Err(NetError::Denied(text)) if text.contains("resolves to") && text.contains("private network"))
        );
        let mut grants = Grants::none();
        assert!(grants.allow_network(&here.to_string()).is_ok());
        let answer = connect(&grants, &here, Duration::from_secs(5)).await;
        assert!(!matches!(answer, Err(NetError::Denied(_))));
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable_and_names_the_address() {
        let answer = connect(&Grants::none(), &Address::tcp("127.0.0.1", 1), Duration::from_secs(5)).await;
        assert!(matches!(answer, Err(NetError::Unreachable(text)) if text.starts_with("127.0.0.1:1")));
        let answer = connect(&Grants::none(), &Address::Unix("/nowhere/x".into()), Duration::from_secs(5)).await;
        assert!(matches!(answer, Err(NetError::Unreachable(_))));
    }
}
