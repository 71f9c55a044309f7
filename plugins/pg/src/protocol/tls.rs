//! The SSLRequest, as `sslmode` says. The TLS protocol itself is spoken by the host.

use crate::error::{Error, Result};
use crate::protocol::transport::Verification;
use crate::protocol::wire::Wire;
use crate::settings::{Connection, TlsMode};
use postgres_protocol::message::frontend;

/// Asks for TLS as `sslmode` says; the digest for channel binding.
pub(crate) fn secure(wire: &mut Wire, connection: &Connection) -> Result<Option<Vec<u8>>> {
    if connection.tls == TlsMode::Disable || connection.is_unix() {
        return Ok(None);
    }
    if connection.tls == TlsMode::Prefer && !flusso_plugin::has_host() {
        return Ok(None);
    }
    wire.put(|out| {
        frontend::ssl_request(out);
        Ok(())
    })?;
    wire.send()?;
    match wire.receive_byte()? {
        b'S' => {
            let roots = connection.roots.as_deref().map(check_roots).transpose()?;
            let verification = match connection.tls {
                TlsMode::VerifyFull => Verification::Full,
                TlsMode::VerifyCa => Verification::Authority,
                // As libpq does: an authority that was named is checked.
                TlsMode::Require if roots.is_some() => Verification::Authority,
                _ => Verification::None,
            };
            wire.start_tls(&connection.host, verification, roots.as_deref())
        }
        b'N' if connection.tls == TlsMode::Prefer => Ok(None),
        b'N' => Err(Error::configuration(
            "connection_url",
            "the server does not speak TLS: switch `ssl` on there, or set `sslmode=disable`",
        )),
        _ => Err(Error::protocol("no answer to the SSLRequest")),
    }
}

/// Authorities are handed over as text: the sandbox holds no file that was not granted as a whole folder.
fn check_roots(given: &str) -> Result<String> {
    if given.contains("-----BEGIN") {
        return Ok(given.to_owned());
    }
    Err(Error::configuration(
        "sslrootcert",
        format!(
            "must be the authorities themselves, as PEM text; in flusso.toml: sslrootcert = {{ file = \"{given}\" }} reads it from there"
        ),
    ))
}
