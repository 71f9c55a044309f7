//! A sink that does what no plugin should when it is asked to flush. The host's tests see that each costs the guest its
//! instance, or nothing at all, and never the host.

use flusso_plugin::{
    Document, Ensured, Error, Failure, HistoryId, Mapping, Rejection, Report, Result, Settings, Sink, Target, Version,
    log, net,
};

/// What to do.
#[derive(serde::Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum How {
    /// Panics.
    Trap,
    /// Computes for ever.
    Spin,
    /// Takes memory until there is no more.
    Eat,
    /// Logs without end, then answers.
    Flood,
    /// Hands over more than a call may.
    HandOver,
    /// Answers what cannot be.
    Lie,
    /// Tries everything it was not granted, and reports what worked.
    Peek,
    /// Waits in a call of the host.
    Block,
    /// Sends an HTTP request, and reports the answer.
    Request,
    /// Panics when a document says that it is poison, and notes the others.
    Poison,
    /// Panics at every other flush, over all its instances, and notes the documents of the others.
    Stumble,
    /// Opens one file again and again, and closes it never.
    Hoard,
    /// Takes more memory than there is, does without, and panics in the next call.
    Recover,
    /// Answers as it should.
    Nothing,
}

#[derive(serde::Deserialize)]
struct Options {
    how: How,
    #[serde(default)]
    address: String,
    #[serde(default)]
    path: String,
    #[serde(skip)]
    recovered: bool,
    /// What was written and not flushed.
    #[serde(skip)]
    buffer: Vec<Document>,
}

/// The sink.
pub struct Misbehave(Options);

impl Sink for Misbehave {
    fn open(settings: Settings) -> Result<Self> {
        settings.parse().map(Self)
    }

    fn ensure_index(&mut self, _: Mapping) -> Result<Ensured> {
        Ok(Ensured { target: 0, empty: true, extra: None })
    }

    fn seeded(&mut self, _: Target) -> Result<Option<HistoryId>> {
        match self.0.how {
            How::Lie => Ok(Some("\u{7}".repeat(5_000))),
            _ => Ok(None),
        }
    }

    fn mark_seeded(&mut self, _: Target, _: HistoryId) -> Result<()> {
        Ok(())
    }

    fn mark_unseeded(&mut self, _: Target) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, documents: Vec<Document>) -> Result<()> {
        if let How::Poison | How::Stumble = self.0.how {
            self.0.buffer.extend(documents);
        }
        Ok(())
    }

    fn clear(&mut self, _: Target, _: Version) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self, _: bool, _: u64) -> Result<Report> {
        let nothing = Report { rejected: Vec::new(), visible: true, extra: None };
        match self.0.how {
            How::Trap => panic!("as it was told"),
            How::Spin => loop {
                std::hint::spin_loop();
            },
            How::Eat => {
                let mut eaten = Vec::new();
                loop {
                    eaten.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&eaten);
                }
            }
            How::Flood => {
                (0..100_000).for_each(|number| log::info("a line\nERROR forged", &[("number", &number.to_string())]));
                Ok(nothing)
            }
            How::HandOver => {
                let reason = "x".repeat(1 << 20);
                let failure = Failure { class: "big".to_owned(), reason, extra: None };
                let rejection = Rejection { target: 0, id: "1".to_owned(), failure };
                Ok(Report { rejected: vec![rejection; 64], visible: true, extra: None })
            }
            How::Peek => Err(Error::fatal(peek(&self.0.address))),
            How::Request => Err(Error::fatal(request(&self.0.address))),
            How::Block => {
                let wait = |connection: net::Connection| connection.read(10, 60_000);
                net::connect(&self.0.address, 1_000)
                    .and_then(wait)
                    .map(|_| nothing)
                    .map_err(|error| Error::fatal(format!("{error:?}")))
            }
            How::Poison => {
                let documents = std::mem::take(&mut self.0.buffer);
                let poison = |document: &&Document| {
                    document.body.as_ref().is_some_and(|body| String::from_utf8_lossy(body).contains("poison"))
                };
                if let Some(document) = documents.iter().find(poison) {
                    panic!("document {} is poison", document.id);
                }
                let path = std::path::Path::new(&self.0.path).join("taken");
                let mut file = std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .map_err(|error| Error::fatal(error.to_string()))?;
                let ids: String = documents.iter().map(|document| format!("{}\n", document.id)).collect();
                std::io::Write::write_all(&mut file, ids.as_bytes())
                    .map_err(|error| Error::fatal(error.to_string()))?;
                Ok(nothing)
            }
            How::Stumble => {
                let folder = std::path::Path::new(&self.0.path);
                let failed = |error: std::io::Error| Error::fatal(error.to_string());
                let documents = std::mem::take(&mut self.0.buffer);
                if documents.is_empty() {
                    return Ok(nothing);
                }
                let append = |name: &str, text: &str| {
                    let mut file = std::fs::File::options().create(true).append(true).open(folder.join(name))?;
                    std::io::Write::write_all(&mut file, text.as_bytes())
                };
                let flushes = std::fs::metadata(folder.join("flushes")).map_or(0, |file| file.len());
                append("flushes", ".").map_err(failed)?;
                if flushes % 2 == 0 {
                    panic!("it stumbles");
                }
                let line = |document: &Document| {
                    let body = document.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                    format!("{}\t{body}\n", document.id)
                };
                append("taken", &documents.iter().map(line).collect::<String>()).map_err(failed)?;
                Ok(nothing)
            }
            How::Hoard => {
                let path = std::path::Path::new(&self.0.path).join("file");
                let mut open = Vec::new();
                loop {
                    let file = std::fs::File::create(&path).map_err(|error| Error::fatal(error.to_string()))?;
                    open.push(file);
                }
            }
            How::Recover if self.0.recovered => panic!("for another reason"),
            How::Recover => {
                self.0.recovered = true;
                match Vec::<u8>::new().try_reserve_exact(1 << 30) {
                    Ok(()) => Err(Error::fatal("there was enough")),
                    Err(_) => Ok(nothing),
                }
            }
            How::Lie | How::Nothing => Ok(nothing),
        }
    }
}

/// What could be reached, in words.
fn peek(address: &str) -> String {
    let mut reached = Vec::new();
    let mut tried = |what: &str, worked: bool| {
        if worked {
            reached.push(what.to_owned());
        }
    };
    tried("environment", std::env::vars().next().is_some());
    tried("arguments", std::env::args().next().is_some());
    tried("file", std::fs::read("/etc/passwd").is_ok());
    tried("folder", std::fs::read_dir("/").is_ok());
    tried("new file", std::fs::write("/tmp/flusso-misbehave", "x").is_ok());
    tried("socket", std::net::TcpStream::connect(address).is_ok());
    tried("name", std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 1)).is_ok());
    tried("net", net::connect(address, 1_000).is_ok());
    tried("http", request(address).starts_with("status"));
    tried("secret", flusso_plugin::secret("password").is_some());
    format!("reached: [{}]", reached.join(", "))
}

/// The status and the body of what an address answers to `GET /path?query`, or the error.
#[cfg(target_family = "wasm")]
fn request(address: &str) -> String {
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{Fields, OutgoingRequest, Scheme};

    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_scheme(Some(&Scheme::Http)).is_ok()
        && request.set_authority(Some(address)).is_ok()
        && request.set_path_with_query(Some("/path?query")).is_ok();
    if !set {
        return "error: no such request".to_owned();
    }
    let response = match handle(request, None) {
        Ok(response) => response,
        Err(error) => return format!("error: {error:?}"),
    };
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => {
            let body = response.consume().and_then(|body| {
                let stream = body.stream()?;
                let mut bytes = Vec::new();
                while let Ok(more) = stream.blocking_read(1 << 16) {
                    bytes.extend(more);
                }
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            });
            format!("status {}: {}", response.status(), body.unwrap_or_default())
        }
        other => format!("error: {other:?}"),
    }
}

#[cfg(not(target_family = "wasm"))]
fn request(_: &str) -> String {
    "error: only a component has wasi:http".to_owned()
}

flusso_plugin::plugin! { manifest: include_str!("../manifest.json"), sink: Misbehave }
