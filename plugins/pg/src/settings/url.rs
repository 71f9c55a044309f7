//! `postgres://user:password@host:port/database?sslmode=require`, as libpq reads it.

use crate::error::{Error, Result};
use crate::settings::{Connection, TlsMode};

/// Reads a connection URL. Never puts the URL into a message: it may hold a password.
pub(super) fn parse(url: &str) -> Result<Connection> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| wrong("must start with postgres://"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut connection = Connection::default();
    let host = match authority.rsplit_once('@') {
        Some((login, host)) => {
            let (user, password) =
                login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
            if !user.is_empty() {
                connection.user = decode(user)?;
            }
            connection.password = password.map(decode).transpose()?;
            host
        }
        None => authority,
    };
    host_and_port(host, &mut connection)?;
    connection.database = decode(path)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("a parameter has no `=`"))?;
        parameter(name, decode(value)?, &mut connection)?;
    }
    Ok(connection.complete())
}

fn host_and_port(text: &str, connection: &mut Connection) -> Result<()> {
    if text.contains(',') {
        return Err(wrong("several hosts are not supported: name the primary"));
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("an IPv6 address lacks its `]`"))?;
        (host.to_owned(), rest.strip_prefix(':').unwrap_or(rest))
    } else {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        (decode(host)?, port)
    };
    if !host.is_empty() {
        connection.host = host;
    }
    if !port.is_empty() {
        connection.port = port.parse().map_err(|_| wrong("the port is no number up to 65535"))?;
    }
    Ok(())
}

fn parameter(name: &str, value: String, connection: &mut Connection) -> Result<()> {
    match name {
        "host" | "hostaddr" => connection.host = value,
        "port" => connection.port = value.parse().map_err(|_| wrong("the port is no number up to 65535"))?,
        "user" => connection.user = value,
        "password" => connection.password = Some(value),
        "dbname" => connection.database = value,
        "sslmode" => connection.tls = TlsMode::parse(&value)?,
        "sslrootcert" => connection.roots = Some(value),
        "application_name" => connection.application = value,
        // Nothing here depends on them: a deadline of its own holds, and the host owns the socket.
        "connect_timeout"
        | "keepalives"
        | "keepalives_idle"
        | "keepalives_interval"
        | "keepalives_count"
        | "channel_binding"
        | "gssencmode"
        | "target_session_attrs"
        | "fallback_application_name"
        | "client_encoding"
        | "tcp_user_timeout"
        | "statement_cache_capacity" => {}
        other => return Err(wrong(&format!("the parameter `{other}` is not known here"))),
    }
    Ok(())
}

/// Undoes percent-encoding. A `+` stays one, as in libpq; a `%` that begins no byte is an error, as there.
fn decode(text: &str) -> Result<String> {
    let hexadecimal = |part: &str| part.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(hexadecimal) {
        return Err(wrong("a `%` is not followed by two hexadecimal digits; write `%25` for the character itself"));
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| wrong("a percent-encoded part is not UTF-8"))
}

fn wrong(what: &str) -> Error {
    Error::configuration("connection_url", format!("{what}; expected postgres://user:password@host:5432/database"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Connection {
        parse(url).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_percent_encoded_password_is_decoded() {
        let connection = read("postgres://me:p%40ss%3Aw%2Frd%25@db.internal:6000/shop");
        assert_eq!(connection.password.as_deref(), Some("p@ss:w/rd%"));
        assert_eq!(connection.address(), "db.internal:6000");
        assert_eq!(connection.database, "shop");
    }

    #[test]
    fn ipv6_and_unix_sockets_have_addresses() {
        assert_eq!(read("postgres://me@[::1]:6000/shop").address(), "[::1]:6000");
        assert_eq!(read("postgres://me@[::1]/shop").address(), "[::1]:5432");
        assert_eq!(read("postgres://me@/shop?host=/run/pg&port=6000").address(), "unix:/run/pg/.s.PGSQL.6000");
        assert_eq!(read("postgres://me@%2Frun%2Fpg:6000/shop").address(), "unix:/run/pg/.s.PGSQL.6000");
    }

    #[test]
    fn what_is_missing_falls_back() {
        let connection = read("postgresql://ann@");
        assert_eq!((connection.database.as_str(), connection.port, connection.tls), ("ann", 5432, TlsMode::Prefer));
    }

    #[test]
    fn a_wrong_url_is_never_repeated() {
        for url in [
            "mysql://me:secret@h/x",
            "postgres://me:secret%zz@h/x",
            "postgres://me:secret@h:99999/x",
            "postgres://me:secret@h/x?sslmode=maybe",
        ] {
            let error = parse(url).map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
