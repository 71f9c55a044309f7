//! What an operator may grant beside one address: every name under a domain (`*.shop.internal:443`), or a network
//! (`10.0.0.0/8:5432`, `[fd00::]/8:5432`). And the IP addresses that no
//! granted name is to resolve to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Several addresses with one port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pattern {
    /// The names under a domain, without the domain itself.
    Subdomains(String, u16),
    /// The IP addresses of a network: one of them, and how many leading bits they have in common.
    Network(IpAddr, u8, u16),
}

impl Pattern {
    /// Reads `*.DOMAIN:PORT` or `ADDRESS/BITS:PORT`; `None`: it has not this form. An error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        let (host, port) = text.rsplit_once(':')?;
        let port = || port.parse().ok().filter(|port| *port != 0).ok_or("the port is not a number from 1 to 65535");
        if let Some(domain) = host.strip_prefix("*.") {
            let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
            let labels = domain.split('.').filter(|label| !label.is_empty()).count();
            let is_name = domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            return Some(match is_name && labels >= 2 && labels == domain.split('.').count() {
                true => port().map(|port| Self::Subdomains(domain, port)),
                false => Err("behind `*.` stands a domain of two labels or more, such as `*.shop.internal`"),
            });
        }
        let (first, bits) = host.split_once('/')?;
        let bare = first.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(first);
        let network = || {
            let first: IpAddr = bare.parse().map_err(|_| "before `/` stands an IP address")?;
            let most = if first.is_ipv4() { 32 } else { 128 };
            let bits: u8 = bits
                .parse()
                .ok()
                .filter(|bits| *bits > 0 && *bits <= most)
                .ok_or("behind `/` stands how many bits the network has")?;
            Ok(Self::Network(first, bits, port()?))
        };
        Some(network())
    }

    /// Whether a host and a port are among them.
    pub(super) fn has(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Subdomains(domain, of) => {
                let below = host.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
                port == *of && below.is_some_and(|label| !label.is_empty()) && host.parse::<IpAddr>().is_err()
            }
            Self::Network(..) => host.parse().is_ok_and(|ip| self.has_ip(ip, port)),
        }
    }

    /// Whether an IP address is in a network.
    pub(super) fn has_ip(&self, ip: IpAddr, port: u16) -> bool {
        match (self, ip) {
            (Self::Network(IpAddr::V4(first), bits, of), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(*bits);
                port == *of && first.to_bits() >> shift == ip.to_bits() >> shift
            }
            (Self::Network(IpAddr::V6(first), bits, of), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(*bits);
                port == *of && first.to_bits() >> shift == ip.to_bits() >> shift
            }
            _ => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subdomains(domain, port) => write!(f, "*.{domain}:{port}"),
            Self::Network(IpAddr::V4(first), bits, port) => write!(f, "{first}/{bits}:{port}"),
            Self::Network(IpAddr::V6(first), bits, port) => write!(f, "[{first}]/{bits}:{port}"),
        }
    }
}

/// Link-local, multicast, broadcast and unspecified addresses, and those of the metadata services of clouds. Only an operator who writes
/// the address, or its network, means one of them.
pub(super) fn is_reserved(ip: IpAddr) -> bool {
    match unmapped(ip) {
        IpAddr::V4(ip) => {
            let special = ip.is_link_local() || ip.is_multicast() || ip.is_broadcast();
            special || ip.octets().first() == Some(&0) || ip == Ipv4Addr::new(100, 100, 100, 200)
        }
        IpAddr::V6(ip) => {
            let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified() || ip == metadata
        }
    }
}

/// Loopback, private and shared (100.64.0.0/10) addresses: what whoever owns a domain can point its names at to get behind a firewall.
pub(super) fn is_private_or_loopback(ip: IpAddr) -> bool {
    match unmapped(ip) {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_private() || ip.to_bits() >> 22 == Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// An IPv4-mapped IPv6 address counts as the IPv4 address.
fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).and_then(Result::ok).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn names_under_a_domain_and_addresses_of_a_network() {
        for (text, inside, outside) in [
            (
                "*.Shop.Internal:443",
                &["a.shop.internal", "a.b.shop.internal"][..],
                &["shop.internal", "ashop.internal", "shop.internal.evil.org", "10.0.0.1"][..],
            ),
            (
                "10.0.0.0/8:443",
                &["10.0.0.0", "10.255.1.2"],
                &["11.0.0.0", "9.255.255.255", "10.example.org", "::ffff:10.0.0.1"],
            ),
            ("192.168.1.7/32:443", &["192.168.1.7"], &["192.168.1.6"]),
            ("[fd00::]/8:443", &["fd12::1"], &["fe80::1", "10.0.0.1"]),
        ] {
            let pattern = pattern(text);
            assert_eq!(pattern.to_string().to_lowercase(), text.to_lowercase());
            assert!(inside.iter().all(|host| pattern.has(host, 443)), "{text}");
            assert!(inside.iter().all(|host| !pattern.has(host, 80)), "{text}: the port counts");
            assert!(outside.iter().all(|host| !pattern.has(host, 443)), "{text}");
        }
        for wrong in [
            "*.com:443",
            "*.:443",
            "*.*.shop.internal:1",
            "*.shop..internal:1",
            "*.shop.internal:0",
            "10.0.0.0/0:443",
            "10.0.0.0/33:1",
            "x/8:1",
            "10.0.0.0/8:x",
        ] {
            assert!(Pattern::parse(wrong).is_some_and(|read| read.is_err()), "{wrong}");
        }
        for other in ["db:5432", "*:443", "[::1]:443", "unix:/run/x"] {
            assert!(Pattern::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn reserved_private_and_public_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap_or_else(|error| panic!("{text}: {error}"));
        for text in [
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "::",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
        ] {
            assert!(is_reserved(ip(text)), "{text}");
        }
        for text in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "::1", "fd12::1", "::ffff:127.0.0.1"]
        {
            assert!(is_private_or_loopback(ip(text)) && !is_reserved(ip(text)), "{text}");
        }
        for text in ["1.1.1.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(!is_private_or_loopback(ip(text)) && !is_reserved(ip(text)), "{text}");
        }
    }
}
