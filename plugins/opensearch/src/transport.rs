//! Bytes to and from the cluster: the host's `net` in a guest, the machine's sockets in a native build (tests). TLS is the
//! host's; a native build does not speak it.

use std::time::Duration;

use flusso_plugin::{Error, Result};

/// Why a connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

impl Broken {
    /// Whether the server has said so for who we are, or are not: rustls's words for its alerts. With TLS 1.3 they come when the
    /// first answer is read, not while shaking hands.
    pub(crate) fn is_about_us(&self) -> bool {
        let alert = self.0.split_once("received fatal alert: ").map(|(_, alert)| alert.to_ascii_lowercase());
        alert.is_some_and(|alert| ["certificate", "unknownca", "accessdenied"].iter().any(|sign| alert.contains(sign)))
    }
}

/// How a server shows who it is.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Whether its certificate is checked.
    pub(crate) verify: bool,
    /// Trusted authorities, PEM.
    pub(crate) authorities: Option<String>,
    /// How we show who we are.
    pub(crate) identity: Option<Identity>,
}

/// A client certificate with its key, both PEM. Not printable on purpose.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// One running connection. Dropping it closes it.
pub(crate) trait Transport {
    /// What has arrived, at most `max` bytes; empty if nothing did within `wait`.
    fn read(&mut self, max: usize, wait: Duration) -> std::result::Result<Vec<u8>, Broken>;
    /// Sends all of it.
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), Broken>;
}

fn away(address: &str, why: &str) -> Error {
    Error::transient(format!("cannot reach the cluster at {address}: {why}; is it running?"))
}

/// The server does not let us in for who we are.
pub(crate) fn unknown(address: &str, why: &str) -> Error {
    let text = format!("{address} asks for one that it accepts: {why}");
    Error::configuration("client_certificate", text)
}

/// Connects to `HOST:PORT`; with TLS, for the server's `name`.
pub(crate) fn connect(address: &str, name: &str, tls: Option<&Tls>, timeout: Duration) -> Result<Box<dyn Transport>> {
    #[cfg(not(target_family = "wasm"))]
    if !flusso_plugin::has_host() {
        return native::connect(address, tls, timeout);
    }
    guest::connect(address, name, tls, timeout)
}

mod guest {
    //! Over the host's `net`.

    use flusso_plugin::net::{self, ClientIdentity, Connection, NetError, TlsOptions, Verification};

    use super::{Broken, Duration, Error, Result, Tls, Transport, away, unknown};

    /// Connects to `HOST:PORT`; with TLS, for the server's `name`.
    pub(crate) fn connect(
        address: &str,
        name: &str,
        tls: Option<&Tls>,
        timeout: Duration,
    ) -> Result<Box<dyn Transport>> {
        let connection = net::connect(address, millis(timeout)).map_err(|error| explain(address, error))?;
        if let Some(tls) = tls {
            let options = TlsOptions {
                server_name: name.to_owned(),
                verification: if tls.verify { Verification::Full } else { Verification::None },
                roots: tls.authorities.clone(),
                client: tls
                    .identity
                    .as_ref()
                    .map(|one| ClientIdentity { certificate: one.certificate.clone(), key: one.key.clone() }),
                extra: None,
            };
            connection.start_tls(&options).map_err(|error| match error {
                NetError::Invalid(text) if tls.identity.is_some() => Error::configuration("client_certificate", text),
                error => explain(address, error),
            })?;
        }
        Ok(Box::new(Guest(connection)))
    }

    struct Guest(Connection);

    impl Transport for Guest {
        fn read(&mut self, max: usize, wait: Duration) -> std::result::Result<Vec<u8>, Broken> {
            self.0.read(u32::try_from(max).unwrap_or(u32::MAX), millis(wait)).map_err(broken)
        }

        fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), Broken> {
            self.0.write(bytes).map_err(broken)
        }
    }

    /// A server that goes down breaks off in the middle of a handshake as well; only what speaks of the certificate or of
    /// no TLS at all will not pass.
    fn is_for_good(text: &str) -> bool {
        ["certificate", "corrupt message", "server name", "authorities"].iter().any(|sign| text.contains(sign))
    }

    fn broken(error: NetError) -> Broken {
        let (NetError::Denied(text)
        | NetError::Unreachable(text)
        | NetError::Closed(text)
        | NetError::Tls(text)
        | NetError::Invalid(text)) = error;
        Broken(text)
    }

    /// Milliseconds, rounded up, so that a short wait is not none.
    fn millis(wait: Duration) -> u32 {
        u32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
    }

    fn explain(address: &str, error: NetError) -> Error {
        match error {
            NetError::Denied(text) => Error::Denied(text),
            NetError::Unreachable(text) | NetError::Closed(text) => away(address, &text),
            NetError::Tls(text) if Broken(text.clone()).is_about_us() => unknown(address, &text),
            NetError::Tls(text) if is_for_good(&text) => Error::configuration(
                "url",
                format!("TLS with {address} failed: {text}; see `ca`, or write http:// if the cluster speaks no TLS"),
            ),
            NetError::Tls(text) => away(address, &format!("TLS failed: {text}")),
            NetError::Invalid(text) => Error::configuration("url", format!("{address} is no address: {text}")),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
mod native {
    //! Over the machine's own sockets.

    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpStream, ToSocketAddrs as _};

    use super::{Broken, Duration, Error, Result, Tls, Transport, away};

    /// Connects to `HOST:PORT`.
    pub(crate) fn connect(address: &str, tls: Option<&Tls>, timeout: Duration) -> Result<Box<dyn Transport>> {
        if tls.is_some() {
            return Err(Error::configuration("url", "without a host no TLS is spoken: write http://"));
        }
        let away = |error: std::io::Error| away(address, &error.to_string());
        let mut last = std::io::Error::new(ErrorKind::NotFound, "the name is unknown");
        for candidate in address.to_socket_addrs().map_err(away)? {
            match TcpStream::connect_timeout(&candidate, timeout.max(Duration::from_millis(1))) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(away)?;
                    return Ok(Box::new(Native(stream)));
                }
                Err(error) => last = error,
            }
        }
        Err(away(last))
    }

    struct Native(TcpStream);

    impl Transport for Native {
        fn read(&mut self, max: usize, wait: Duration) -> std::result::Result<Vec<u8>, Broken> {
            let mut bytes = vec![0; max.min(256 << 10)];
            let wait = Some(wait.max(Duration::from_micros(100)));
            match self.0.set_read_timeout(wait).and_then(|()| self.0.read(&mut bytes)) {
                Ok(0) => Err(Broken("the server closed the connection".to_owned())),
                Ok(count) => {
                    bytes.truncate(count);
                    Ok(bytes)
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
                {
                    Ok(Vec::new())
                }
                Err(error) => Err(Broken(error.to_string())),
            }
        }

        fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), Broken> {
            self.0.write_all(bytes).map_err(|error| Broken(error.to_string()))
        }
    }
}
