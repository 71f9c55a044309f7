//! Bytes to and from the server: the host's `net`, and without a host, in tests, the machine's sockets. TLS is the host's;
//! without one it is not spoken.

use crate::error::Result;
use std::time::Duration;

/// How much of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Nothing.
    None,
    /// Signed by a trusted authority.
    Authority,
    /// Signed by a trusted authority, for this name.
    Full,
}

/// One running connection.
pub trait Transport {
    /// What has arrived, at most `max` bytes; empty if nothing did within `wait`.
    fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<u8>>;
    /// Sends all of it.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Upgrades to TLS; answers the digest for SCRAM's channel binding.
    fn start_tls(&mut self, name: &str, verification: Verification, roots: Option<&str>) -> Result<Option<Vec<u8>>>;
}

/// Connects to `HOST:PORT` or `unix:PATH`.
pub fn connect(address: &str, timeout: Duration) -> Result<Box<dyn Transport>> {
    #[cfg(not(target_family = "wasm"))]
    if !flusso_plugin::has_host() {
        return native::connect(address, timeout);
    }
    guest::connect(address, timeout)
}

mod guest {
    //! Over the host's `net`.
    use super::{Duration, Result, Transport, Verification};
    use crate::error::Error;
    use flusso_plugin::net::{self, Connection, NetError, TlsOptions};

    /// Connects to `HOST:PORT` or `unix:PATH`.
    pub(super) fn connect(address: &str, timeout: Duration) -> Result<Box<dyn Transport>> {
        let connection = net::connect(address, millis(timeout)).map_err(|error| explain(address, error))?;
        Ok(Box::new(Guest { connection, address: address.to_owned() }))
    }

    struct Guest {
        connection: Connection,
        address: String,
    }

    impl Transport for Guest {
        fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<u8>> {
            self.connection
                .read(u32::try_from(max).unwrap_or(u32::MAX), millis(wait))
                .map_err(|error| explain(&self.address, error))
        }

        fn write(&mut self, bytes: &[u8]) -> Result<()> {
            self.connection.write(bytes).map_err(|error| explain(&self.address, error))
        }

        fn start_tls(
            &mut self,
            name: &str,
            verification: Verification,
            roots: Option<&str>,
        ) -> Result<Option<Vec<u8>>> {
            let options = TlsOptions {
                server_name: name.to_owned(),
                verification: match verification {
                    Verification::None => net::Verification::None,
                    Verification::Authority => net::Verification::Authority,
                    Verification::Full => net::Verification::Full,
                },
                roots: roots.map(str::to_owned),
                client: None,
                extra: None,
            };
            self.connection.start_tls(&options).map_err(|error| explain(&self.address, error))
        }
    }

    /// Milliseconds, rounded up, so that a short wait is not none.
    fn millis(wait: Duration) -> u32 {
        u32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
    }

    fn explain(address: &str, error: NetError) -> Error {
        match error {
            NetError::Denied(text) => Error::Denied(text),
            NetError::Unreachable(text) => {
                Error::Transient(format!("cannot reach the database at {address}: {text}; is the server running?"))
            }
            NetError::Closed(text) => Error::Transient(format!("the connection to {address} broke: {text}")),
            NetError::Tls(text) => Error::configuration(
                "connection_url",
                format!("TLS with {address} failed: {text}; see `sslmode` and `sslrootcert`"),
            ),
            NetError::Invalid(text) => {
                Error::configuration("connection_url", format!("{address} is no address: {text}"))
            }
        }
    }
}

#[cfg(not(target_family = "wasm"))]
mod native {
    //! Over the machine's own sockets.
    use super::{Duration, Result, Transport, Verification};
    use crate::error::Error;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpStream, ToSocketAddrs};
    use std::os::unix::net::UnixStream;

    /// Connects to `HOST:PORT` or `unix:PATH`.
    pub(super) fn connect(address: &str, timeout: Duration) -> Result<Box<dyn Transport>> {
        let away = |error: std::io::Error| {
            Error::Transient(format!("cannot reach the database at {address}: {error}; is the server running?"))
        };
        if let Some(path) = address.strip_prefix("unix:") {
            return Ok(Box::new(Native { socket: Socket::Unix(UnixStream::connect(path).map_err(away)?) }));
        }
        let mut last = std::io::Error::new(ErrorKind::NotFound, "the name is unknown");
        for candidate in address.to_socket_addrs().map_err(away)? {
            match TcpStream::connect_timeout(&candidate, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(away)?;
                    return Ok(Box::new(Native { socket: Socket::Tcp(stream) }));
                }
                Err(error) => last = error,
            }
        }
        Err(away(last))
    }

    enum Socket {
        Tcp(TcpStream),
        Unix(UnixStream),
    }

    struct Native {
        socket: Socket,
    }

    impl Transport for Native {
        fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<u8>> {
            let mut bytes = vec![0; max.min(256 * 1024)];
            let wait = Some(wait.max(Duration::from_micros(100)));
            let read = match &mut self.socket {
                Socket::Tcp(stream) => stream.set_read_timeout(wait).and_then(|()| stream.read(&mut bytes)),
                Socket::Unix(stream) => stream.set_read_timeout(wait).and_then(|()| stream.read(&mut bytes)),
            };
            match read {
                Ok(0) => Err(Error::Transient("the server closed the connection".into())),
                Ok(count) => {
                    bytes.truncate(count);
                    Ok(bytes)
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
                {
                    Ok(Vec::new())
                }
                Err(error) => Err(Error::Transient(format!("the connection broke: {error}"))),
            }
        }

        fn write(&mut self, bytes: &[u8]) -> Result<()> {
            match &mut self.socket {
                Socket::Tcp(stream) => stream.write_all(bytes),
                Socket::Unix(stream) => stream.write_all(bytes),
            }
            .map_err(|error| Error::Transient(format!("the connection broke: {error}")))
        }

        fn start_tls(
            &mut self,
            _name: &str,
            _verification: Verification,
            _roots: Option<&str>,
        ) -> Result<Option<Vec<u8>>> {
            Err(Error::configuration("connection_url", "a native build does not speak TLS: set `sslmode=disable`"))
        }
    }
}
