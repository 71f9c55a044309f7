//! The address of a cluster: `http(s)://[user:password@]host[:port][/path]`.

use flusso_plugin::{Error, Result};

/// A base URL, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Empty, or begins with `/` and ends without.
    pub(crate) path: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl Url {
    /// Reads the setting `url`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // Never the text itself in a message: a password may stand in it.
        let wrong = |why: &str| Err(Error::configuration("url", format!("{why}; write https://host:9200")));
        let Some((scheme, rest)) = text.trim().split_once("://") else { return wrong("has no http:// or https://") };
        let (tls, default) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return wrong("begins with neither http:// nor https://"),
        };
        if rest.contains(['?', '#']) {
            return wrong("has a part after `?` or `#`, which no cluster reads");
        }
        if rest.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return wrong("holds a space or a control character");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse::<u16>() {
                Ok(port) if port != 0 => (host, port),
                _ => return wrong("has a port that is no number from 1 to 65535"),
            },
            _ => (place, default),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return wrong("names no host");
        }
        let (username, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            Some((name, password)) => (Some(decode(name)), Some(decode(password))),
            None => (None, None),
        };
        let path = path.trim_end_matches('/').to_owned();
        Ok(Self { tls, host: host.to_owned(), port, path, username, password })
    }

    /// `HOST:PORT`, as `net.connect` wants it.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether what is sent does not leave this machine.
    pub(crate) fn is_this_machine(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Undoes percent-encoding; what is not valid stays as it is.
fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A name as one part of a path.
pub(crate) fn encode(part: &str) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(part, &KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let url = Url::parse(text).ok()?;
        Some(format!("{} {} {:?} {:?}:{:?}", url.tls, url.address(), url.path, url.username, url.password))
    }

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, expected) in [
            ("http://127.0.0.1:9200", "false 127.0.0.1:9200 \"\" None:None"),
            ("HTTPS://search.example/", "true search.example:443 \"\" None:None"),
            ("http://[::1]:9200/a/b/", "false [::1]:9200 \"/a/b\" None:None"),
            ("http://[::1]", "false [::1]:80 \"\" None:None"),
            ("https://u:p%40w@h:1", "true h:1 \"\" Some(\"u\"):Some(\"p@w\")"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for text in [
            "h:9200",
            "ftp://h",
            "http://",
            "http://:9200",
            "http://h:x",
            "http://h:0",
            "http://u:SECRET@h/?a",
            "http://u:SECRET@",
        ] {
            let error = Url::parse(text).err().map(|error| format!("{error:?}")).unwrap_or_default();
            assert!(error.contains("url") && !error.contains("SECRET"), "{text}: {error}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_part_of_a_path() {
        assert_eq!(encode("a/b?c%ü-1_2"), "a%2Fb%3Fc%25%C3%BC-1_2");
    }
}
