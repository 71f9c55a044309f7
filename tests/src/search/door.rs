//! A cluster behind TLS that asks for a client certificate: a door in front of a real one that speaks none.

use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::message::Message;
use crate::given;

/// The door. A thread a connection; they end with the process.
#[derive(Debug)]
pub struct Door {
    port: u16,
}

impl Door {
    /// In front of `HOST:PORT`. It lets in who shows a certificate of the tests' own authority.
    ///
    /// # Panics
    /// Without that authority, and where there is no free port.
    pub fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no free port: {error}"));
        let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
        let config = Arc::new(config().unwrap_or_else(|error| panic!("the tests' certificates: {error}")));
        let server = server.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (config, server) = (Arc::clone(&config), server.clone());
                std::thread::spawn(move || {
                    // Who is not let in sees why, and its connection closed.
                    let _ = serve(config, client, &server);
                });
            }
        });
        Self { port }
    }

    /// Where it answers, as a setting: by the name that its certificate is for.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// A file of the tests' certificates: `ca.crt`, `client.crt`, `client.key`.
    pub fn file(name: &str) -> PathBuf {
        PathBuf::from(given("FLUSSO_TEST_CA")).with_file_name(name)
    }
}

fn config() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let provider = Arc::new(ring::default_provider());
    let mut authorities = RootCertStore::empty();
    authorities.add(CertificateDer::from_pem_file(Door::file("ca.crt"))?)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider)).build()?;
    let own = vec![CertificateDer::from_pem_file(Door::file("server.crt"))?];
    let key = PrivateKeyDer::from_pem_file(Door::file("server.key"))?;
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_client_cert_verifier(clients).with_single_cert(own, key)?)
}

fn serve(config: Arc<ServerConfig>, client: TcpStream, server: &str) -> io::Result<()> {
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = BufReader::new(StreamOwned::new(session, client));
    let mut server = BufReader::new(TcpStream::connect(server)?);
    while let Some(request) = Message::read(&mut client)? {
        request.write(server.get_mut())?;
        let answer = Message::read(&mut server)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        answer.write(client.get_mut())?;
    }
    Ok(())
}
