//! TLS over a guest's connection: rustls on the host's side, so that a plugin needs no cryptography of its own and the
//! operator's trust is kept in one place.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::plugin::wasm::bindings::flusso::connector::net::{ClientIdentity, NetError, TlsOptions, Verification};

/// Upgrades a stream. Returns it with the `tls-server-end-point` digest of the server's certificate, if it has one.
pub(super) async fn upgrade(
    stream: Box<dyn Stream>,
    options: TlsOptions,
) -> Result<(Box<dyn Stream>, Option<Vec<u8>>), NetError> {
    let identity = identity(&options).map_err(NetError::Invalid)?;
    agree(stream, options, identity).await.map_err(NetError::Tls)
}

/// Who this side is, for a server that asks.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(options: &TlsOptions) -> Result<Option<Identity>, String> {
    let Some(ClientIdentity { certificate, key }) = &options.client else { return Ok(None) };
    // What is wrong with a key is said without it.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| "the key of the client certificate is no private key in PEM, or has a passphrase".to_owned())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain =
        chain.ok().filter(|chain| !chain.is_empty()).ok_or("the client certificate is no certificate in PEM")?;
    let signing = ring::default_provider().key_provider.load_private_key(key.clone_key());
    let signing = signing.map_err(|error| format!("the key of the client certificate cannot be used: {error}"))?;
    match CertifiedKey::new(chain.clone(), signing).keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err("the client certificate is of another key than the one beside it".to_owned())
        }
        _ => Ok(Some((chain, key))),
    }
}

async fn agree(
    stream: Box<dyn Stream>,
    options: TlsOptions,
    identity: Option<Identity>,
) -> Result<(Box<dyn Stream>, Option<Vec<u8>>), String> {
    let name = ServerName::try_from(options.server_name.clone())
        .map_err(|_| format!("`{}` is no server name a certificate could be for", options.server_name))?;
    let verifier = Arc::new(Verifier::new(&options)?);
    let config = ClientConfig::builder_with_provider(verifier.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match identity {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?,
        None => config.with_no_client_auth(),
    };
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let secured = connecting.await.map_err(|error| error.to_string())?;
    let (_, session) = secured.get_ref();
    let digest = session.peer_certificates().and_then(<[_]>::first).and_then(|certificate| end_point(certificate));
    Ok((Box::new(secured), digest))
}

/// The machine's own trusted authorities, read once.
fn native_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None: any certificate will do.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that the operator trusts as they are: a server's own, given as its root.
    pinned: Vec<CertificateDer<'static>>,
    names: bool,
}

impl Verifier {
    fn new(options: &TlsOptions) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        if options.verification == Verification::None {
            return Ok(Self { provider, authorities: None, pinned: Vec::new(), names: false });
        }
        let (roots, pinned) = match &options.roots {
            None => (native_roots(), Vec::new()),
            Some(pem) => {
                let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
                let certificates =
                    certificates.map_err(|error| format!("the trusted authorities are not PEM: {error}"))?;
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates.iter().cloned());
                (Arc::new(roots), certificates)
            }
        };
        let built = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
        let authorities =
            built.map_err(|error| format!("there are no trusted authorities to check against: {error}"))?;
        let names = options.verification == Verification::Full;
        Ok(Self { provider, authorities: Some(authorities), pinned, names })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        if self.pinned.contains(certificate) {
            if self.names {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match authorities.verify_server_cert(certificate, intermediates, name, stapled, now) {
            // The name is checked last: everything before it was in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names => Ok(ServerCertVerified::assertion()),
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// RFC 5929: the certificate's digest by the hash of its own signature, SHA-256 where that is MD5 or SHA-1. None where the
/// signature does not say (RSA-PSS keeps it in its parameters, Ed25519 has none of its own).
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let (_, outer, _) = element(certificate)?;
    let (_, _, after_body) = element(outer)?;
    let (_, algorithm, _) = element(after_body)?;
    let (_, name, _) = element(algorithm)?;
    let hash = match (name.strip_prefix(RSA), name.strip_prefix(ECDSA)) {
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => 256,
        (Some([12]), _) | (_, Some([3, 3])) => 384,
        (Some([13]), _) | (_, Some([3, 4])) => 512,
        _ => return None,
    };
    Some(match hash {
        256 => Sha256::digest(certificate).to_vec(),
        384 => Sha384::digest(certificate).to_vec(),
        _ => Sha512::digest(certificate).to_vec(),
    })
}

/// One element of DER: its tag, its contents, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked((long - 0x80).min(9))?;
            (
                digits
                    .iter()
                    .try_fold(0_usize, |length, digit| length.checked_mul(256)?.checked_add((*digit).into()))?,
                rest,
            )
        }
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outline of a certificate: a body, and a signature algorithm of this name.
    fn certificate(name: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, contents: &[u8]| [&[tag, 0x82, 0, contents.len() as u8], contents].concat();
        let algorithm = wrap(0x30, &wrap(6, name));
        wrap(0x30, &[wrap(0x30, &[1; 100]), algorithm, wrap(3, &[0; 8])].concat())
    }

    #[test]
    fn the_end_point_digest_follows_the_certificates_own_signature() {
        let rsa = |last: u8| certificate(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]);
        let length = |certificate: &[u8]| end_point(certificate).map(|digest| digest.len());
        assert_eq!(length(&rsa(11)), Some(32));
        assert_eq!(length(&rsa(5)), Some(32), "SHA-1 is raised to SHA-256");
        assert_eq!(length(&rsa(12)), Some(48));
        assert_eq!(length(&rsa(13)), Some(64));
        assert_eq!(length(&rsa(10)), None, "RSA-PSS");
        assert_eq!(length(&certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 3, 3])), Some(48));
        assert_eq!(length(&certificate(&[0x2b, 0x65, 0x70])), None, "Ed25519");
        assert_eq!(end_point(&rsa(11)), Some(Sha256::digest(rsa(11)).to_vec()));
    }

    #[test]
    fn a_broken_certificate_has_no_digest() {
        let whole = certificate(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 11]);
        for length in 0..whole.len() {
            assert_eq!(end_point(whole.get(..length).unwrap_or_default()), None);
        }
    }

    /// A throw-away authority and a certificate that it signed for `db.internal` with SHA-384, good until 2124.
    const AUTHORITY: &str = include_str!("testdata/authority.pem");
    const SERVER: &str = include_str!("testdata/server.pem");
    const KEY: &str = include_str!("testdata/server.key");

    fn options(name: &str, verification: Verification, roots: Option<&str>) -> TlsOptions {
        TlsOptions {
            server_name: name.to_owned(),
            verification,
            roots: roots.map(str::to_owned),
            client: None,
            extra: None,
        }
    }

    /// What a guest gets from a server with that certificate.
    async fn handshake(options: TlsOptions) -> Result<Option<Vec<u8>>, String> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let certificate = CertificateDer::from_pem_slice(SERVER.as_bytes()).map_err(|error| error.to_string())?;
        let key =
            rustls::pki_types::PrivateKeyDer::from_pem_slice(KEY.as_bytes()).map_err(|error| error.to_string())?;
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate], key))
            .map_err(|error| error.to_string())?;
        let serving = tokio::spawn(tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(far));
        let answer = upgrade(Box::new(near), options).await.map(|(_, digest)| digest);
        serving.abort();
        answer.map_err(|error| format!("{error:?}"))
    }

    const CLIENT_AUTHORITY: &str = include_str!("testdata/client-authority.pem");
    const CLIENT: &str = include_str!("testdata/client.pem");
    const CLIENT_KEY: &str = include_str!("testdata/client.key");

    /// Whether a server that wants to know takes a client.
    async fn introduced(client: Option<(&str, &str)>) -> Result<bool, String> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(CLIENT_AUTHORITY.as_bytes()).flatten());
        let provider = Arc::new(ring::default_provider());
        let asking =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let certificate = CertificateDer::from_pem_slice(SERVER.as_bytes()).map_err(|error| text(&error))?;
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).map_err(|error| text(&error))?;
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| text(&error))?
            .with_client_cert_verifier(asking.map_err(|error| text(&error))?)
            .with_single_cert(vec![certificate], key)
            .map_err(|error| text(&error))?;
        let serving = tokio::spawn(tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(far));
        let client = client
            .map(|(certificate, key)| ClientIdentity { certificate: certificate.to_owned(), key: key.to_owned() });
        let options = TlsOptions { client, ..options("db.internal", Verification::Full, Some(AUTHORITY)) };
        let (near, _) = upgrade(Box::new(near), options).await.map_err(|error| format!("{error:?}"))?;
        let accepted = serving.await.map_err(|error| text(&error))?;
        drop(near);
        Ok(accepted.is_ok_and(|stream| stream.get_ref().1.peer_certificates().is_some()))
    }

    #[tokio::test]
    async fn a_server_that_asks_is_told_who_this_is() {
        assert_eq!(introduced(Some((CLIENT, CLIENT_KEY))).await, Ok(true));
        assert_eq!(introduced(None).await, Ok(false), "a client without a certificate is refused");
    }

    #[tokio::test]
    async fn a_client_certificate_that_cannot_be_used_is_said_without_its_key() {
        for (certificate, key, why) in [
            (CLIENT, "SECRET", "no private key"),
            (CLIENT, KEY, "another key"),
            ("SECRET", CLIENT_KEY, "no certificate"),
        ] {
            let answer = introduced(Some((certificate, key))).await;
            let said = answer.err().unwrap_or_default();
            assert!(said.starts_with("NetError::Invalid") && said.contains(why) && !said.contains("SECRET"), "{said}");
        }
    }

    #[tokio::test]
    async fn each_verification_checks_what_it_says() {
        use Verification::{Authority, Full, None as Nothing};
        let refused = |answer: Result<Option<Vec<u8>>, String>, why: &str| match answer {
            Err(text) => assert!(text.contains(why), "{text}"),
            Ok(_) => panic!("taken, but: {why}"),
        };
        let der = CertificateDer::from_pem_slice(SERVER.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let digest = Ok(Some(Sha384::digest(&der).to_vec()));
        assert_eq!(handshake(options("db.internal", Full, Some(AUTHORITY))).await, digest);
        assert_eq!(handshake(options("127.0.0.1", Authority, Some(AUTHORITY))).await, digest);
        assert_eq!(handshake(options("127.0.0.1", Nothing, None)).await, digest);
        refused(handshake(options("other.internal", Full, Some(AUTHORITY))).await, "not valid for name");
        refused(handshake(options("db.internal", Full, None)).await, "certificate");
        refused(handshake(options("db.internal", Authority, None)).await, "certificate");
        // A server's own certificate may be given as what is trusted.
        assert_eq!(handshake(options("db.internal", Full, Some(SERVER))).await, digest);
        refused(handshake(options("other.internal", Full, Some(SERVER))).await, "not valid for name");
    }

    #[test]
    fn roots_that_are_none_are_said() {
        let wrong = Verifier::new(&options("db", Verification::Full, Some(""))).err().unwrap_or_default();
        assert!(wrong.contains("no trusted authorities"), "{wrong}");
    }
}
