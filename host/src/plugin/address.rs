//! Addresses, and how they are found inside a setting: in a URL, a host with or without a port, or a folder of sockets. Nothing is
//! granted here; `capability` does that.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// Somewhere a guest may want to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// A name or number, lower case and without brackets, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// A host name as it is compared: lower case, no brackets, no closing dot, IPv6 in its shortest form.
    pub fn tcp(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        let name = match bare.parse::<Ipv6Addr>() {
            Ok(number) => number.to_string(),
            Err(_) => bare.to_ascii_lowercase(),
        };
        Self::Tcp(name, port)
    }

    /// Reads `HOST:PORT` or `unix:PATH`, the forms of `net.connect`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let wrong = |why| AddressError::new(text, why);
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            return match path.is_absolute() {
                true => Ok(Self::Unix(path.to_path_buf())),
                false => Err(wrong("a socket's path begins with `/`")),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        match host {
            "" => Err(wrong("the host is missing")),
            host if host.contains(':') && !bracketed => Err(wrong("an IPv6 address stands in brackets")),
            host if host.contains(['*', '?', '/', '@', ' ']) => {
                Err(wrong("a host is one name; there are no wildcards"))
            }
            host => Ok(Self::tcp(host, port)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: {why}; write HOST:PORT or unix:PATH")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl AddressError {
    pub(super) fn new(text: &str, why: &'static str) -> Self {
        Self { text: text.to_owned(), why }
    }
}

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
