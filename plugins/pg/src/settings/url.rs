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
    hosts_and_ports(host, &mut connection)?;
    connection.database = decode(path)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("a parameter has no `=`"))?;
        parameter(name, decode(value)?, &mut connection)?;
    }
    Ok(connection.complete())
}

fn hosts_and_ports(text: &str, connection: &mut Connection) -> Result<()> {
    let (default_host, default_port) = (connection.host.clone(), connection.port);
    let mut hosts = Vec::new();
    for one in text.split(',') {
        let (host, port) = host_and_port(one)?;
        hosts.push((host.unwrap_or_else(|| default_host.clone()), port.unwrap_or(default_port)));
    }
    take_hosts(hosts, connection);
    Ok(())
}

fn take_hosts(hosts: Vec<(String, u16)>, connection: &mut Connection) {
    let mut hosts = hosts.into_iter();
    if let Some((host, port)) = hosts.next() {
        (connection.host, connection.port) = (host, port);
    }
    connection.others = hosts.collect();
}

/// `HOST:PORT`, each where it is there.
fn host_and_port(text: &str) -> Result<(Option<String>, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("an IPv6 address lacks its `]`"))?;
        (host.to_owned(), rest.strip_prefix(':').unwrap_or(rest))
    } else {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        (decode(host)?, port)
    };
    let host = (!host.is_empty()).then_some(host);
    let port = match port {
        "" => None,
        port => Some(port.parse().map_err(|_| wrong("the port is no number up to 65535"))?),
    };
    Ok((host, port))
}

fn parameter(name: &str, value: String, connection: &mut Connection) -> Result<()> {
    match name {
        "host" | "hostaddr" => {
            let ports: Vec<u16> =
                std::iter::once(connection.port).chain(connection.others.iter().map(|(_, port)| *port)).collect();
            let port = |at: usize| ports.get(at).copied().unwrap_or(connection.port);
            let hosts = value.split(',').enumerate().map(|(at, host)| (host.to_owned(), port(at))).collect();
            take_hosts(hosts, connection);
        }
        "port" => {
            let ports = value.split(',').map(str::parse::<u16>).collect::<std::result::Result<Vec<_>, _>>();
            let ports = ports.map_err(|_| wrong("the port is no number up to 65535"))?;
            // As libpq does: one port is that of every host.
            let port = |at: usize| if let [one] = ports.as_slice() { Some(one) } else { ports.get(at) };
            if let Some(port) = port(0) {
                connection.port = *port;
            }
            for (at, (_, own)) in connection.others.iter_mut().enumerate() {
                if let Some(port) = port(at + 1) {
                    *own = *port;
                }
            }
        }
        "options" => connection.options = value,
        "target_session_attrs" => match value.as_str() {
            "any" | "read-write" | "primary" | "prefer-standby" => {}
            other => {
                return Err(wrong(&format!(
                    "target_session_attrs={other} asks for a server whose changes cannot be followed; a slot is made on the primary"
                )));
            }
        },
        "user" => connection.user = value,
        "password" => connection.password = Some(value),
        "dbname" => connection.database = value,
        "sslmode" => connection.tls = TlsMode::parse(&value)?,
        "sslrootcert" if value == "system" => connection.roots = None,
        "sslrootcert" => connection.roots = Some(value),
        "sslcert" | "sslkey" | "sslpassword" | "sslcrl" => {
            return Err(wrong(&format!(
                "`{name}` is not supported: client certificates are not spoken to PostgreSQL here"
            )));
        }
        "application_name" => connection.application = value,
        // Nothing here depends on them: a deadline of its own holds, and the host owns the socket.
        "connect_timeout"
        | "keepalives"
        | "keepalives_idle"
        | "keepalives_interval"
        | "keepalives_count"
        | "channel_binding"
        | "gssencmode"
        | "krbsrvname"
        | "gsslib"
        | "sslcompression"
        | "sslsni"
        | "ssl_min_protocol_version"
        | "ssl_max_protocol_version"
        | "load_balance_hosts"
        | "passfile"
        | "requirepeer"
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
    fn several_hosts_are_tried_in_their_order() {
        let addresses = |url: &str| read(url).candidates().iter().map(Connection::address).collect::<Vec<_>>();
        assert_eq!(addresses("postgres://me@a,b:6000/shop?target_session_attrs=read-write"), ["a:5432", "b:6000"]);
        assert_eq!(addresses("postgres://me@/shop?host=a,b&port=6000"), ["a:6000", "b:6000"]);
        assert_eq!(addresses("postgres://me@/shop?host=a,b&port=6000,7000"), ["a:6000", "b:7000"]);
        assert_eq!(addresses("postgres://me@[::1],c/shop"), ["[::1]:5432", "c:5432"]);
        assert!(parse("postgres://a/shop?target_session_attrs=standby").is_err());
    }

    #[test]
    fn parameters_of_libpq_are_honoured_or_passed_over() {
        let connection = read(
            "postgres://a/shop?options=-c%20search_path%3Dx&application_name=mine&connect_timeout=3&sslrootcert=system",
        );
        assert_eq!((connection.options.as_str(), connection.application.as_str()), ("-c search_path=x", "mine"));
        assert_eq!(connection.roots, None);
        for wrong in ["sslcert=a.pem", "nonsense=1"] {
            assert!(parse(&format!("postgres://a/shop?{wrong}")).is_err(), "{wrong}");
        }
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
