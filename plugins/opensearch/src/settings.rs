//! What the operator sets, and what of it makes no sense.

use std::collections::BTreeMap;
use std::time::Duration;

use flusso_plugin::{Error, Result};
use serde::Deserialize;

use crate::language::{Language, Languages};
use crate::transport::{Identity, Tls};
use crate::url::Url;

/// The settings as `manifest.json` describes them.
#[derive(Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) bearer: Option<String>,
    pub(crate) tls_verify: bool,
    pub(crate) ca: Option<String>,
    pub(crate) client_certificate: Option<String>,
    pub(crate) client_key: Option<String>,
    pub(crate) batch_size: usize,
    pub(crate) max_bytes: usize,
    pub(crate) requests_in_flight: usize,
    pub(crate) compression: Compression,
    pub(crate) gzip_above: usize,
    pub(crate) timeout_secs: u64,
    pub(crate) pipeline: Option<String>,
    pub(crate) number_of_shards: u32,
    pub(crate) number_of_replicas: u32,
    pub(crate) refresh_interval: String,
    pub(crate) text_analysis: TextAnalysis,
    /// The language of all texts; it is checked by [`Settings::check_languages`].
    pub(crate) language: Option<String>,
    /// By an index's name, without the deployment's prefix.
    pub(crate) languages: BTreeMap<String, String>,
    pub(crate) auto_subfields: bool,
    /// Whether a value that the cluster cannot index refuses its document.
    pub(crate) strict: bool,
    pub(crate) meta_index: Option<String>,
    pub(crate) keep_replaced_secs: u64,
    /// How often what others did to the indexes and aliases is looked for.
    pub(crate) look_every_secs: u64,
}

/// Whether large requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// Unless the cluster is on this machine.
    Auto,
    Gzip,
    None,
}

/// What texts are analysed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TextAnalysis {
    /// What people type: parts of words and whole ones, symbols, numbers without zeros, stems of a language.
    Words,
    /// The analysis of flusso 0.15.
    Builtin,
    /// The plugin `analysis-icu`.
    Icu,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: None,
            password: None,
            api_key: None,
            bearer: None,
            tls_verify: true,
            ca: None,
            client_certificate: None,
            client_key: None,
            batch_size: 1_000,
            max_bytes: 10 << 20,
            requests_in_flight: 4,
            compression: Compression::Auto,
            gzip_above: 8_192,
            timeout_secs: 30,
            pipeline: None,
            number_of_shards: 1,
            number_of_replicas: 1,
            refresh_interval: "10s".to_owned(),
            text_analysis: TextAnalysis::Words,
            language: None,
            languages: BTreeMap::new(),
            auto_subfields: true,
            strict: false,
            meta_index: None,
            keep_replaced_secs: 60,
            look_every_secs: 30,
        }
    }
}

/// How requests show who they are from. Not printable on purpose.
pub(crate) struct Credentials {
    /// The value of the header `Authorization`.
    pub(crate) header: Option<String>,
    /// The setting to correct when they are refused.
    pub(crate) setting: &'static str,
}

impl Settings {
    /// The credentials: those of the settings, or those inside the URL.
    pub(crate) fn credentials(&self, url: &Url) -> Result<Credentials> {
        let user = self.username.as_ref().or(url.username.as_ref());
        let password = self.password.as_ref().or(url.password.as_ref());
        let given =
            [("api_key", self.api_key.is_some()), ("bearer", self.bearer.is_some()), ("username", user.is_some())];
        let mut given = given.into_iter().filter(|(_, is)| *is).map(|(name, _)| name);
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            return Err(Error::configuration(one, format!("stands beside `{other}`; give one of them")));
        }
        let credentials = |header: String, setting| {
            // A line end would end the header and begin another.
            if header.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
                return Err(Error::configuration(setting, "holds a line end or another control character"));
            }
            Ok(Credentials { header: Some(header), setting })
        };
        match (&self.api_key, &self.bearer, user) {
            (Some(key), _, _) => credentials(format!("ApiKey {key}"), "api_key"),
            (_, Some(token), _) => credentials(format!("Bearer {token}"), "bearer"),
            (_, _, Some(user)) if user.contains(':') => {
                Err(Error::configuration("username", "holds a `:`, which basic authentication cannot say"))
            }
            (_, _, Some(user)) => {
                use base64::Engine as _;
                let pair = format!("{user}:{}", password.map_or("", String::as_str));
                let pair = base64::engine::general_purpose::STANDARD.encode(pair);
                credentials(format!("Basic {pair}"), "password")
            }
            _ if password.is_some() => Err(Error::configuration("username", "is missing beside `password`")),
            _ => Ok(Credentials { header: None, setting: "username" }),
        }
    }

    /// The languages of indexes, or the setting that names one that does not exist.
    fn languages(&self) -> Result<Languages> {
        let one = |setting: &str, name: &String| {
            Language::try_from(name.clone()).map_err(|why| Error::configuration(setting, why))
        };
        let all = self.language.as_ref().map(|name| one("language", name)).transpose()?;
        let by_index = self.languages.iter().map(|(index, name)| Ok((index.clone(), one("languages", name)?)));
        Ok(Languages { all, by_index: by_index.collect::<Result<_>>()? })
    }

    /// The language of an index, by its name with the deployment's prefix.
    pub(crate) fn language_of(&self, index: &str, prefix: &str) -> Option<Language> {
        self.languages().ok()?.of(index, prefix)
    }

    /// Whether every language exists and is one of an analysis that knows languages.
    pub(crate) fn check_languages(&self) -> Result<()> {
        let languages = self.languages()?;
        if self.text_analysis != TextAnalysis::Words && (languages.all.is_some() || !languages.by_index.is_empty()) {
            let text = "knows no languages unless it is \"words\"; remove it, or `language` and `languages`";
            return Err(Error::configuration("text_analysis", text));
        }
        Ok(())
    }

    /// From how many bytes on a request is compressed; none: never.
    pub(crate) fn compress_from(&self, url: &Url) -> Option<usize> {
        match self.compression {
            Compression::None => None,
            Compression::Auto if url.is_this_machine() => None,
            Compression::Auto | Compression::Gzip => Some(self.gzip_above),
        }
    }

    /// How TLS is spoken, where the URL asks for it. Authorities and the like are handed over as text: the sandbox holds no
    /// file that was not granted as a whole folder.
    pub(crate) fn tls(&self, url: &Url) -> Result<Option<Tls>> {
        let authorities = pem("ca", "the authorities themselves", self.ca.as_ref())?;
        let certificate = pem("client_certificate", "the certificate itself", self.client_certificate.as_ref())?;
        // A key that is no PEM text may be the key all the same: it is not shown.
        if self.client_key.as_ref().is_some_and(|key| !key.contains("-----BEGIN")) {
            let text = "must be the key itself, as PEM text; in flusso.toml: client_key = { file = \"…\" } reads it from there";
            return Err(Error::configuration("client_key", text));
        }
        let identity = match (certificate, self.client_key.clone()) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Error::configuration("client_key", "is missing beside `client_certificate`"));
            }
            (None, Some(_)) => {
                return Err(Error::configuration("client_certificate", "is missing beside `client_key`"));
            }
        };
        if identity.is_some() && !url.tls {
            let text = "is shown over TLS alone; write https:// in `url`";
            return Err(Error::configuration("client_certificate", text));
        }
        Ok(url.tls.then_some(Tls { verify: self.tls_verify, authorities, identity }))
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_secs.max(1))
    }
}

fn pem(setting: &str, what: &str, text: Option<&String>) -> Result<Option<String>> {
    match text {
        Some(text) if !text.contains("-----BEGIN") => Err(Error::configuration(
            setting,
            format!(
                "must be {what}, as PEM text; in flusso.toml: {setting} = {{ file = \"{text}\" }} reads it from there"
            ),
        )),
        text => Ok(text.cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(settings: Settings, url: &str) -> Result<Option<String>> {
        let url = Url::parse(url)?;
        Ok(settings.credentials(&url)?.header)
    }

    #[test]
    fn what_the_manifest_says_of_defaults_is_what_holds() {
        let manifest: serde_json::Value = serde_json::from_str(include_str!("../manifest.json")).unwrap_or_default();
        let properties = manifest.pointer("/settings/properties").and_then(|all| all.as_object()).cloned();
        let mut given = serde_json::Map::new();
        for (name, property) in properties.unwrap_or_default() {
            if let Some(default) = property.get("default") {
                given.insert(name, default.clone());
            }
        }
        assert!(given.len() > 10);
        let shown = |one: &Settings| {
            format!(
                "{:?}",
                (
                    (
                        one.tls_verify,
                        one.batch_size,
                        one.max_bytes,
                        one.requests_in_flight,
                        one.compression,
                        one.gzip_above
                    ),
                    (one.timeout_secs, one.number_of_shards, one.number_of_replicas, &one.refresh_interval),
                    (
                        one.text_analysis,
                        one.auto_subfields,
                        &one.meta_index,
                        one.keep_replaced_secs,
                        one.look_every_secs
                    ),
                )
            )
        };
        let read: std::result::Result<Settings, _> = serde_json::from_value(serde_json::Value::Object(given));
        assert_eq!(read.ok().as_ref().map(shown), Some(shown(&Settings::default())));
    }

    #[test]
    fn credentials_come_from_the_settings_or_the_url() {
        let basic =
            Settings { username: Some("Aladdin".into()), password: Some("open sesame".into()), ..Settings::default() };
        assert_eq!(header(basic, "http://h"), Ok(Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned())));
        let url = header(Settings::default(), "http://Aladdin:open%20sesame@h");
        assert_eq!(url, Ok(Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned())));
        let key = Settings { api_key: Some("abc".into()), ..Settings::default() };
        assert_eq!(header(key, "http://h"), Ok(Some("ApiKey abc".to_owned())));
        assert_eq!(header(Settings::default(), "http://h"), Ok(None));
    }

    #[test]
    fn a_client_certificate_and_its_key_come_together_and_over_tls() {
        let with = |certificate: bool, key: bool, url: &str| {
            let text = |is: bool| is.then(|| "-----BEGIN X-----".to_owned());
            let settings =
                Settings { client_certificate: text(certificate), client_key: text(key), ..Settings::default() };
            let tls = Url::parse(url).and_then(|url| settings.tls(&url));
            tls.map(|tls| tls.is_some_and(|tls| tls.identity.is_some())).map_err(|error| format!("{error:?}"))
        };
        assert_eq!(with(true, true, "https://h"), Ok(true));
        assert_eq!(with(false, false, "https://h"), Ok(false));
        for (certificate, key, url, word) in [
            (true, false, "https://h", "client_key"),
            (false, true, "https://h", "client_certificate"),
            (true, true, "http://h", "https://"),
        ] {
            assert!(with(certificate, key, url).is_err_and(|error| error.contains(word)), "{word}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_name_and_without_the_secret() {
        let two = Settings { api_key: Some("SECRET".into()), bearer: Some("SECRET".into()), ..Settings::default() };
        let line = Settings { bearer: Some("SECRET\r\nX: y".into()), ..Settings::default() };
        let half = Settings { password: Some("SECRET".into()), ..Settings::default() };
        let cut = Settings {
            client_certificate: Some("-----BEGIN".into()),
            client_key: Some("SECRET".into()),
            ..Settings::default()
        };
        let url = Url::parse("https://h").expect("a URL");
        let error = cut.tls(&url).err().map(|error| format!("{error:?}")).unwrap_or_default();
        assert!(error.contains("client_key") && !error.contains("SECRET"), "{error}");
        for settings in [two, line, half] {
            let error = header(settings, "http://h").err().map(|error| format!("{error:?}")).unwrap_or_default();
            assert!(error.contains("Configuration") && !error.contains("SECRET"), "{error}");
        }
    }
}
