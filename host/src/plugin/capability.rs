//! Answers "may it?": the one place that decides what a guest reaches. Denied unless granted. What fills in a setting grants one
//! address or one folder; what the operator writes under `allow` may also be a domain or a network.
//!
//! Grants come from two places: what the operator wrote (`[… .allow]`), and what filling in a setting implies (a setting
//! whose schema says `x-flusso-grant`). The file knows nothing about guests; the imports ask it at each use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::address;
pub use super::address::{Address, AddressError};
use super::address_pattern::{Pattern, is_private_or_loopback, is_reserved};

/// What a guest may do with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// List and read.
    Read,
    /// Also create, change and remove.
    Write,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "filesystem:read",
            Self::Write => "filesystem:write",
        })
    }
}

/// Something asked for that was not granted. The text names what the operator would have to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// An address.
    #[error("connecting to {0} is not granted; add \"{0}\" to the plugin's `allow.network`")]
    Network(Address),
    /// An IP address that a granted name resolves to.
    #[error("{0} resolves to {1}, which {2}; if that is meant, add the IP address to the plugin's `allow.network`")]
    Resolved(Address, IpAddr, &'static str),
    /// An address that an HTTP request would go to.
    #[error("an HTTP request to {0} is not granted; add \"{0}\" to the plugin's `allow.http`")]
    Http(Address),
    /// A path.
    #[error("{1} on {path} is not granted; add it to the plugin's `allow`", path = .0.display())]
    Path(PathBuf, Access),
}

/// Everything that one instance of a plugin was granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    network: BTreeSet<Address>,
    patterns: BTreeSet<Pattern>,
    http: BTreeSet<Address>,
    /// What is granted, as it is shown, and what the operator wrote that grants it.
    reasons: BTreeMap<String, BTreeSet<String>>,
    /// What grants what is granted next.
    because: String,
    folders: Vec<(PathBuf, Access)>,
    /// For each granted file, the folders in which it really lay when it was granted: its own and that of its link's target.
    files: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// What marks a setting as a grant, in a plugin's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    /// `network`: the setting holds an address.
    Network,
    /// `filesystem:read` or `filesystem:write`: the setting holds a folder.
    Folder(Access),
}

impl GrantKind {
    /// Reads the value of `x-flusso-grant`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "network" => Some(Self::Network),
            "filesystem:read" => Some(Self::Folder(Access::Read)),
            "filesystem:write" => Some(Self::Folder(Access::Write)),
            _ => None,
        }
    }
}

impl Grants {
    /// Nothing at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// What is granted from here on is granted by this: a setting or a key that the operator wrote.
    pub fn because(&mut self, wrote: impl Into<String>) {
        self.because = wrote.into();
    }

    fn note(&mut self, granted: String) {
        self.reasons.entry(granted).or_default().insert(self.because.clone());
    }

    /// Everything that is granted, each with what the operator wrote that grants it.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, String)> {
        let of = |wrote: &BTreeSet<String>| wrote.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.reasons.iter().map(move |(granted, wrote)| (granted.as_str(), of(wrote)))
    }

    /// Grants one address, or a [`Pattern`] of them, as the operator wrote it in `allow.network`.
    pub fn allow_network(&mut self, address: &str) -> Result<(), AddressError> {
        let wrong = |why| AddressError::new(address, why);
        match Pattern::parse(address) {
            Some(pattern) => {
                let pattern = pattern.map_err(wrong)?;
                self.note(pattern.to_string());
                self.patterns.insert(pattern);
            }
            None => {
                let address = Address::parse(address)?;
                self.note(address.to_string());
                self.network.insert(address);
            }
        }
        Ok(())
    }

    /// Grants HTTP requests to one host, as the operator wrote it in `allow.http`: `HOST:PORT`, or `HOST` for its ports 80
    /// and 443. Nothing else may be sent there.
    pub fn allow_http(&mut self, host: &str) -> Result<(), AddressError> {
        let bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        let addresses = match bare {
            true => vec![Address::parse(&format!("{host}:80"))?, Address::parse(&format!("{host}:443"))?],
            false => vec![Address::parse(host)?],
        };
        if addresses.iter().any(|address| matches!(address, Address::Unix(_))) {
            return Err(AddressError::new(host, "HTTP requests go to a host, not to a socket"));
        }
        addresses.iter().for_each(|address| self.note(format!("http {address}")));
        self.http.extend(addresses);
        Ok(())
    }

    /// Grants one folder and what is in it.
    pub fn allow_folder(&mut self, path: impl Into<PathBuf>, access: Access) {
        let path = path.into();
        self.note(format!("{access} {}", path.display()));
        if access == Access::Read && path.is_file() {
            let own = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let target = path.canonicalize().ok().and_then(|target| target.parent().map(Path::to_path_buf));
            self.files.insert(path.clone(), own.canonicalize().ok().into_iter().chain(target).collect());
        }
        match self.folders.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => *known = (*known).max(access),
            None => self.folders.push((path, access)),
        }
    }

    /// Grants what a filled-in address setting implies: the host and port inside it and nothing else. `port` is the
    /// setting beside it, for settings given in parts.
    pub fn allow_setting(&mut self, value: &str, port: Option<u16>) -> Result<(), AddressError> {
        let found = address::of_setting(value, port);
        if found.is_empty() {
            return Err(AddressError::new(&address::without_credentials(value), "there is no host in it"));
        }
        found.iter().for_each(|address| self.note(address.to_string()));
        self.network.extend(found);
        Ok(())
    }

    /// May it connect there?
    pub fn may_connect(&self, address: &Address) -> Result<(), Denied> {
        match self.network.contains(address) || self.is_among_several(address) {
            true => Ok(()),
            false => Err(Denied::Network(address.clone())),
        }
    }

    fn is_among_several(&self, address: &Address) -> bool {
        matches!(address, Address::Tcp(host, port) if self.patterns.iter().any(|pattern| pattern.has(host, *port)))
    }

    /// May it connect to the IP address that a granted name was resolved to? Whoever answers for the name decides what it is: never a
    /// reserved one, and where a whole domain is granted, none of this machine or of a private network; unless that is granted too.
    pub fn may_resolve_to(&self, address: &Address, ip: IpAddr) -> Result<(), Denied> {
        let Address::Tcp(host, port) = address else { return Ok(()) };
        let own = Address::tcp(&ip.to_string(), *port);
        let by_ip = self.network.contains(&own)
            || self.http.contains(&own)
            || self.patterns.iter().any(|pattern| pattern.has_ip(ip, *port));
        if by_ip || host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let refused = |why| Err(Denied::Resolved(address.clone(), ip, why));
        if is_reserved(ip) {
            return refused("is a reserved address");
        }
        let by_name = self.network.contains(address) || self.http.contains(address);
        match is_private_or_loopback(ip) && !by_name {
            true => refused("is of this machine or of a private network, and the name is granted by its domain alone"),
            false => Ok(()),
        }
    }

    /// May it send an HTTP request there? To whatever it may connect to, it may.
    pub fn may_request(&self, address: &Address) -> Result<(), Denied> {
        match self.may_connect(address).is_ok() || self.http.contains(address) {
            true => Ok(()),
            false => Err(Denied::Http(address.clone())),
        }
    }

    /// May it use this path?
    pub fn may_access(&self, path: &Path, access: Access) -> Result<(), Denied> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let granted = self.folders.iter().any(|(folder, granted)| path.starts_with(folder) && *granted >= access);
        match granted && !climbs {
            true => Ok(()),
            false => Err(Denied::Path(path.to_path_buf(), access)),
        }
    }

    /// Whether a granted path is that of a single file. A file that is replaced may be away for a moment and stays one.
    pub fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path) || path.is_file()
    }

    /// Where a granted file is now. A link may be turned to another file of the folders in which the file was when it was
    /// granted, as configuration management does, and to nothing else: whoever can write a link has no grant by it.
    ///
    /// # Errors
    ///
    /// That of looking; `PermissionDenied` where the link leads elsewhere.
    pub fn follow_file(&self, path: &Path) -> std::io::Result<PathBuf> {
        let target = path.canonicalize()?;
        let folders = self.files.get(path).map(Vec::as_slice).unwrap_or_default();
        match target.parent().is_some_and(|parent| folders.iter().any(|folder| within(folder, parent))) {
            true => Ok(target),
            false => Err(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                format!("it leads to {}, which is not granted", target.display()),
            )),
        }
    }

    /// The granted addresses, without patterns.
    pub fn network(&self) -> impl Iterator<Item = &Address> {
        self.network.iter()
    }

    /// The addresses that are granted for HTTP requests alone.
    pub fn http(&self) -> impl Iterator<Item = &Address> {
        self.http.iter()
    }

    /// The granted folders, each once.
    pub fn folders(&self) -> impl Iterator<Item = (&Path, Access)> {
        self.folders.iter().map(|(path, access)| (path.as_path(), *access))
    }
}

/// Whether a folder is another or lies in it; nothing is "in" the root, which would be everything.
fn within(folder: &Path, other: &Path) -> bool {
    other == folder || (folder.parent().is_some() && other.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn implied(value: &str, port: Option<u16>) -> Grants {
        let mut grants = Grants::none();
        grants.allow_setting(value, port).unwrap_or_else(|error| panic!("{error}"));
        grants
    }

    fn may(grants: &Grants, address: &str) -> bool {
        Address::parse(address).is_ok_and(|address| grants.may_connect(&address).is_ok())
    }

    #[test]
    fn nothing_is_granted_by_default() {
        assert!(!may(&Grants::none(), "localhost:5432"));
        assert!(!may(&Grants::none(), "unix:/run/postgresql/.s.PGSQL.5432"));
        assert!(Grants::none().may_access(Path::new("/tmp"), Access::Read).is_err());
    }

    #[test]
    fn a_url_grants_its_host_and_port_and_nothing_else() {
        let grants = implied("postgres://me:p%40ss@db.internal:6543/shop?sslmode=disable", None);
        assert!(may(&grants, "db.internal:6543"));
        assert!(may(&grants, "DB.Internal.:6543"));
        for other in ["db.internal:5432", "internal:6543", "me:6543", "evil.db.internal:6543", "127.0.0.1:6543"] {
            assert!(!may(&grants, other), "{other}");
        }
    }

    #[test]
    fn the_scheme_gives_the_port() {
        for (url, address) in [
            ("postgres://db/shop", "db:5432"),
            ("postgresql://u@db", "db:5432"),
            ("http://search", "search:80"),
            ("https://user:secret@search/path", "search:443"),
            ("https://[::1]/", "[::1]:443"),
            ("HTTPS://Search:9200", "search:9200"),
        ] {
            let grants = implied(url, None);
            assert!(may(&grants, address), "{url}");
            assert_eq!(grants.network().count(), 1, "{url}");
        }
    }

    #[test]
    fn sockets_are_granted_by_folder_and_port() {
        for value in [
            "postgres://%2Frun%2Fpostgresql/shop",
            "postgres:///shop?host=/run/postgresql",
            "postgres://me@/shop?sslmode=disable&host=%2Frun%2Fpostgresql&port=5432",
            "postgres://me@:5432/shop?host=/run/postgresql/",
            "postgres://me:a#b@nowhere:9999/shop?host=/run/postgresql&port=5432",
            "/run/postgresql",
        ] {
            let grants = implied(value, None);
            assert!(may(&grants, "unix:/run/postgresql/.s.PGSQL.5432"), "{value}");
            assert_eq!(grants.network().count(), 1, "{value}");
        }
        assert!(may(&implied("/run/postgresql", Some(5433)), "unix:/run/postgresql/.s.PGSQL.5433"));
    }

    #[test]
    fn parts_and_lists_of_hosts_are_granted() {
        assert!(may(&implied("db", Some(5433)), "db:5433"));
        assert!(may(&implied("db:5434", None), "db:5434"));
        assert!(may(&implied("::1", Some(5435)), "[::1]:5435"));
        assert!(may(&implied("postgres://me@[::1]/shop", None), "[::1]:5432"));
        assert!(may(&implied("postgres:///shop", None), "127.0.0.1:5432"));
        let grants = implied("postgres://a,b:6000/shop", None);
        assert!(may(&grants, "a:5432") && may(&grants, "b:6000"));
    }

    #[test]
    fn a_host_hidden_in_the_credentials_is_not_granted() {
        let grants = implied("http://good:80@evil/", None);
        assert!(may(&grants, "evil:80") && !may(&grants, "good:80"));
        let grants = implied("http://host/?x=@other:80", None);
        assert!(may(&grants, "host:80") && !may(&grants, "other:80"));
    }

    #[test]
    fn an_operators_grant_is_no_word_for_everything() {
        let mut grants = Grants::none();
        for wrong in
            ["*", "*:5432", "*.internal:443", "0.0.0.0/0:443", "db", "db:0", "db:x", "::1:5432", ":5432", "unix:run/x"]
        {
            assert!(grants.allow_network(wrong).is_err(), "{wrong}");
        }
        assert!(grants.allow_network("[::1]:5432").is_ok());
        assert!(may(&grants, "[0:0:0:0:0:0:0:1]:5432"));
    }

    #[test]
    fn a_host_granted_for_http_is_not_granted_for_anything_else() {
        let mut grants = Grants::none();
        for wrong in ["*", "", "a b", "unix:/run/x", "host:0", "https://host/"] {
            assert!(grants.allow_http(wrong).is_err(), "{wrong}");
        }
        assert!(grants.allow_http("Api.example").is_ok() && grants.allow_http("[::1]:8080").is_ok());
        let may = |text: &str| Address::parse(text).is_ok_and(|address| grants.may_request(&address).is_ok());
        assert!(may("api.example:443") && may("api.example:80") && may("[::1]:8080"));
        assert!(!may("api.example:8443") && !may("x.api.example:443") && !may("[::1]:80"));
        assert!(Address::parse("api.example:443").is_ok_and(|address| grants.may_connect(&address).is_err()));
    }

    #[test]
    fn a_domain_or_a_network_is_granted_with_its_port() {
        let mut grants = Grants::none();
        assert!(grants.allow_network("*.shop.internal:443").is_ok() && grants.allow_network("10.0.0.0/8:5432").is_ok());
        assert!(may(&grants, "A.shop.internal:443") && may(&grants, "10.1.2.3:5432"));
        for other in ["a.shop.internal:80", "shop.internal:443", "10.1.2.3:443", "11.0.0.1:5432", "db:5432"] {
            assert!(!may(&grants, other), "{other}");
        }
    }

    /// The name, what it was granted by, what it resolves to, and whether that may be.
    #[test]
    fn a_granted_name_resolves_to_nothing_that_nobody_meant() {
        for (name, granted, number, may) in [
            ("db", &["db:443"][..], "10.0.0.7", true),
            ("db", &["db:443"], "127.0.0.1", true),
            ("db", &["db:443"], "169.254.169.254", false),
            ("db", &["db:443", "169.254.169.254:443"], "169.254.169.254", true),
            ("db", &["db:443", "169.254.169.254:80"], "169.254.169.254", false),
            ("db", &["db:443", "169.254.0.0/16:443"], "169.254.169.254", true),
            ("db", &["db:443"], "::ffff:169.254.169.254", false),
            ("a.shop.org", &["*.shop.org:443"], "93.184.216.34", true),
            ("a.shop.org", &["*.shop.org:443"], "127.0.0.1", false),
            ("a.shop.org", &["*.shop.org:443"], "10.0.0.7", false),
            ("a.shop.org", &["*.shop.org:443", "10.0.0.0/8:443"], "10.0.0.7", true),
            ("a.shop.org", &["*.shop.org:443", "a.shop.org:443"], "10.0.0.7", true),
            ("169.254.169.254", &["169.254.169.254:443"], "169.254.169.254", true),
        ] {
            let mut grants = Grants::none();
            assert!(granted.iter().all(|address| grants.allow_network(address).is_ok()));
            let number = number.parse().unwrap_or_else(|error| panic!("{error}"));
            let reached = grants.may_resolve_to(&Address::tcp(name, 443), number);
            assert_eq!(reached.is_ok(), may, "{name} by {granted:?} to {number}: {reached:?}");
        }
    }

    #[test]
    fn what_grants_is_told() {
        let mut grants = Grants::none();
        grants.because("`url`");
        assert!(grants.allow_setting("http://search:9200", None).is_ok());
        grants.because("`allow.network`");
        assert!(grants.allow_network("search:9200").is_ok() && grants.allow_network("10.0.0.0/8:443").is_ok());
        let told: Vec<_> = grants.reasons().map(|(granted, wrote)| format!("{granted} by {wrote}")).collect();
        assert_eq!(told, ["10.0.0.0/8:443 by `allow.network`", "search:9200 by `allow.network`, `url`"]);
    }

    #[test]
    fn a_folder_grants_what_is_in_it_and_nothing_beside_it() {
        let mut grants = Grants::none();
        grants.allow_folder("/data/out", Access::Read);
        assert!(grants.may_access(Path::new("/data/out/a.ndjson"), Access::Read).is_ok());
        assert!(grants.may_access(Path::new("/data/out/a.ndjson"), Access::Write).is_err());
        for other in ["/data", "/data/output", "/data/out/../x", "data/out"] {
            assert!(grants.may_access(Path::new(other), Access::Read).is_err(), "{other}");
        }
        grants.allow_folder("/data/out", Access::Write);
        assert!(grants.may_access(Path::new("/data/out"), Access::Write).is_ok());
    }
}
