//! Finds the addresses inside a setting: a URL, a host with or without a port, or a folder of sockets. It grants nothing;
//! `capability` does.

use std::path::PathBuf;

use super::capability::Address;

/// Where a PostgreSQL server listens if nothing else is said.
const POSTGRES_PORT: u16 = 5432;

/// Every address that a setting's value names; none if there is no host in it.
pub(super) fn of_setting(value: &str, port: Option<u16>) -> Vec<Address> {
    match value.split_once("://") {
        Some((scheme, rest)) => of_url(&scheme.to_ascii_lowercase(), rest, port),
        None => of_host(value, port.unwrap_or(POSTGRES_PORT)).into_iter().collect(),
    }
}

/// A URL without user, password and query, for messages.
pub(super) fn without_credentials(value: &str) -> String {
    match value.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, _) = split_authority(rest);
            let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
            format!("{scheme}://{hosts}/…")
        }
        None => value.to_owned(),
    }
}

fn split_authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

fn of_url(scheme: &str, rest: &str, port: Option<u16>) -> Vec<Address> {
    let postgres = matches!(scheme, "postgres" | "postgresql");
    let (authority, tail) = split_authority(rest);
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let query = tail.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or("");
    let parameter = |wanted: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| decode(value))
    };
    let query_port = parameter("port").filter(|_| postgres).and_then(|port| port.parse().ok());
    let default = port.or(query_port).or(match scheme {
        "postgres" | "postgresql" => Some(POSTGRES_PORT),
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    });
    let Some(default) = default else {
        return hosts.split(',').filter_map(|host| Address::parse(&decode(host)).ok()).collect();
    };
    // libpq lets the parameter win over the host before the path.
    match parameter("host").filter(|_| postgres) {
        Some(listed) => listed.split(',').filter_map(|host| of_host(host, default)).collect(),
        None => hosts.split(',').filter_map(|host| of_host(&decode(host), default)).collect(),
    }
}

/// One host: a folder of sockets, `HOST`, `HOST:PORT` or an IPv6 address with or without brackets.
fn of_host(host: &str, default: u16) -> Option<Address> {
    if host.starts_with('/') {
        let (folder, port) = match host.rsplit_once(':') {
            Some((folder, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                (folder, port.parse().ok()?)
            }
            _ => (host, default),
        };
        return Some(Address::Unix(PathBuf::from(folder).join(format!(".s.PGSQL.{port}"))));
    }
    if host.is_empty() {
        return None;
    }
    Address::parse(host)
        .or_else(|_| Address::parse(&format!("{host}:{default}")))
        .or_else(|_| Address::parse(&format!("[{host}]:{default}")))
        .ok()
}

/// Undoes percent-encoding; what is not valid stays as it is.
fn decode(text: &str) -> String {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.extend(u8::try_from(high * 16 + low).ok());
                rest = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
