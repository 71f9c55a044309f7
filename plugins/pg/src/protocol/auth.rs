//! Authentication: trust, cleartext, md5, SCRAM-SHA-256 with and without channel binding.

use crate::error::{Error, Result, ServerError};
use crate::protocol::wire::{Cut, Wire};
use crate::settings::Connection;
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
};
use postgres_protocol::message::frontend;

/// Answers the server until it is satisfied. `binding` is the digest of its certificate, under TLS.
pub(crate) fn authenticate(wire: &mut Wire, connection: &Connection, binding: Option<Vec<u8>>) -> Result<()> {
    loop {
        let frame = wire.receive()?;
        if frame.tag == b'E' {
            return Err(Error::Server(ServerError::parse(wire.body(frame))).classified());
        }
        if frame.tag == b'N' || frame.tag == b'v' {
            continue;
        }
        if frame.tag != b'R' {
            return Err(Error::protocol("no answer to the login"));
        }
        let body = wire.body(frame).to_vec();
        let mut cut = Cut(&body);
        match cut.u32()? {
            0 => return Ok(()),
            3 => {
                let password = password(connection)?.to_owned();
                wire.put(|out| frontend::password_message(password.as_bytes(), out))?;
                wire.send()?;
            }
            5 => {
                let salt: [u8; 4] = cut.bytes(4)?.try_into().unwrap_or_default();
                let hash = md5_hash(connection.user.as_bytes(), password(connection)?.as_bytes(), salt);
                wire.put(|out| frontend::password_message(hash.as_bytes(), out))?;
                wire.send()?;
            }
            10 => scram(wire, connection, cut, binding.as_ref())?,
            other => {
                let name = match other {
                    2 => "Kerberos",
                    7 | 8 => "GSSAPI",
                    9 => "SSPI",
                    _ => "an unknown method",
                };
                return Err(Error::configuration(
                    "connection_url",
                    format!(
                        "the server wants {name} for this login, which is not spoken here: give it scram-sha-256 in pg_hba.conf"
                    ),
                ));
            }
        }
    }
}

fn password(connection: &Connection) -> Result<&str> {
    connection.password.as_deref().ok_or_else(|| {
        Error::configuration(
            "connection_url",
            format!("the server wants a password for the user `{}`, and none is set", connection.user),
        )
    })
}

fn scram(wire: &mut Wire, connection: &Connection, mut offered: Cut<'_>, binding: Option<&Vec<u8>>) -> Result<()> {
    let (mut plain, mut plus) = (false, false);
    while !offered.0.is_empty() {
        match offered.text()? {
            SCRAM_SHA_256 => plain = true,
            SCRAM_SHA_256_PLUS => plus = true,
            _ => {}
        }
    }
    let (mechanism, channel) = match binding {
        Some(digest) if plus => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(digest.clone())),
        Some(_) if plain => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        None if plain => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        _ => {
            return Err(Error::configuration(
                "connection_url",
                "the server offers no SCRAM method that is spoken here",
            ));
        }
    };
    let mut scram = ScramSha256::new(password(connection)?.as_bytes(), channel);
    let first = scram.message().to_vec();
    wire.put(|out| frontend::sasl_initial_response(mechanism, &first, out))?;
    wire.send()?;
    let challenge = expect(wire, 11)?;
    scram.update(&challenge).map_err(|error| Error::protocol(format_args!("SCRAM: {error}")))?;
    let answer = scram.message().to_vec();
    wire.put(|out| frontend::sasl_response(&answer, out))?;
    wire.send()?;
    let signature = expect(wire, 12)?;
    scram.finish(&signature).map_err(|error| {
        Error::configuration(
            "connection_url",
            format!("the server could not prove that it knows the password ({error}): is it the right server?"),
        )
    })
}

/// The body of an authentication message of kind `kind`.
fn expect(wire: &mut Wire, kind: u32) -> Result<Vec<u8>> {
    let frame = wire.receive()?;
    let body = wire.body(frame);
    if frame.tag == b'E' {
        return Err(Error::Server(ServerError::parse(body)).classified());
    }
    let mut cut = Cut(body);
    if frame.tag != b'R' || cut.u32()? != kind {
        return Err(Error::protocol("the server did not continue the SCRAM exchange"));
    }
    Ok(cut.0.to_vec())
}
