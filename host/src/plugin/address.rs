//! Finds the addresses inside a setting: a URL, a host with or without a port, or a folder of sockets. It grants nothing;
//! `capability` does.

use std::path::PathBuf;

use super::capability::Address;

/// Where a PostgreSQL server listens if nothing else is said.
const POSTGRES_HOST: &str = "127.0.0.1";
/// And its port.
const POSTGRES_PORT: u16 = 5432;

/// Every address that a setting's value names; none if there is no host in it.
pub(super) fn of_setting(value: &str, port: Option<u16>) -> Vec<Address> {
    match value.split_once("://") {
        Some((scheme, rest)) => of_url(&scheme.to_ascii_lowercase(), rest),
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

fn of_url(scheme: &str, rest: &str) -> Vec<Address> {
    let default = match scheme {
        "postgres" | "postgresql" => return of_postgres(rest),
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let (authority, _) = split_authority(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match default {
        Some(port) => of_host(&decode(host), port).into_iter().collect(),
        None => Address::parse(&decode(host)).into_iter().collect(),
    }
}

/// As libpq reads it: parameters win over what stands before the path, and several hosts may be named.
fn of_postgres(rest: &str) -> Vec<Address> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let last =
        |wanted: &[&str]| parameters.clone().rfind(|(name, _)| wanted.contains(name)).map(|(_, value)| decode(value));
    let number = |text: &str| text.parse::<u16>().ok();
    let port = last(&["port"]).and_then(|port| number(&port));
    let listed = last(&["host", "hostaddr"]);
    let of = |host: &str| {
        let (name, own) = split_port(host);
        let name = if name.is_empty() { POSTGRES_HOST } else { name };
        of_bare(name, port.or(own).unwrap_or(POSTGRES_PORT))
    };
    match listed {
        // The port may still stand before the path.
        Some(listed) => {
            let (_, own) = split_port(hosts);
            let port = port.or(own).unwrap_or(POSTGRES_PORT);
            listed.split(',').filter_map(|host| of_bare(host, port)).collect()
        }
        None => hosts.split(',').filter_map(|host| of(&decode(host))).collect(),
    }
}

/// A host and the port behind it; an IPv6 address without brackets has none.
fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port))
            if name.starts_with('[') == name.ends_with(']') && (name.starts_with('[') || !name.contains(':')) =>
        {
            match port.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (host, None),
            }
        }
        _ => (host, None),
    }
}

/// A host and a port that stand apart.
fn of_bare(host: &str, port: u16) -> Option<Address> {
    match host.starts_with('/') {
        true => Some(Address::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))),
        false => {
            Address::parse(&format!("{host}:{port}")).or_else(|_| Address::parse(&format!("[{host}]:{port}"))).ok()
        }
    }
}

/// One host: a folder of sockets, `HOST`, `HOST:PORT` or an IPv6 address with or without brackets.
fn of_host(host: &str, default: u16) -> Option<Address> {
    let (name, port) = split_port(host);
    if name.is_empty() { None } else { of_bare(name, port.unwrap_or(default)) }
}

/// Undoes percent-encoding; what is not valid stays as it is.
fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
