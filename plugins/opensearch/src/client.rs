//! A client of one server: connections that are kept, requests that are sent before the one before was answered (each on
//! a connection of its own), time limits, and one silent repetition where the server had closed a kept connection.

use std::rc::Rc;
use std::time::{Duration, Instant};

use flusso_plugin::{Error, Result};

use crate::cluster_error::ClusterError;
use crate::http::{Decoder, Head, Kind, Response, gzip};
use crate::settings::Settings;
use crate::transport::{Broken, Tls, Transport, connect, unknown};
use crate::url::Url;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of one read.
const READ_BYTES: usize = 1 << 20;
/// A body up to this goes out together with its head.
const COALESCED_BYTES: usize = 16 << 10;

/// The client.
pub(crate) struct Client {
    url: Url,
    head: Head,
    tls: Option<Tls>,
    compress_from: Option<usize>,
    timeout: Duration,
    /// The setting to correct when credentials are refused.
    setting: &'static str,
    idle: Vec<Box<dyn Transport>>,
    /// When everything that is asked must be over.
    until: Instant,
}

/// A request on its way.
pub(crate) struct Sent {
    transport: Box<dyn Transport>,
    /// The connection was used before: that it is closed says nothing about this request.
    reused: bool,
    head: Rc<Vec<u8>>,
    body: Rc<Vec<u8>>,
    what: String,
    decoder: Decoder,
    until: Instant,
}

impl Client {
    /// A client of the cluster that the settings name. Connects to nothing.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let url = Url::parse(&settings.url)?;
        let credentials = settings.credentials(&url)?;
        Ok(Self {
            head: Head { path: url.path.clone(), host: url.address(), authorization: credentials.header },
            tls: settings.tls(&url)?,
            compress_from: settings.compress_from(&url),
            timeout: settings.timeout(),
            setting: credentials.setting,
            idle: Vec::new(),
            until: Instant::now() + settings.timeout(),
            url,
        })
    }

    /// Whether credentials go out in the open, to another machine.
    pub(crate) fn shows_credentials(&self) -> bool {
        self.head.authorization.is_some() && self.tls.is_none() && !self.url.is_this_machine()
    }

    /// The cluster's address, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.head.host
    }

    /// Everything that is asked from here on must be over in this time.
    pub(crate) fn within(&mut self, time: Duration) {
        self.until = Instant::now() + time;
    }

    /// How much of that time is left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Sends a request and returns at once.
    pub(crate) fn send(&mut self, method: &str, target: &str, kind: Kind, body: Option<Rc<Vec<u8>>>) -> Result<Sent> {
        let what = format!("{method} {}", target.split('?').next().unwrap_or_default());
        let until = self.until.min(Instant::now() + self.timeout);
        let (body, zipped) = match body {
            Some(body) if self.compress_from.is_some_and(|from| body.len() >= from) => match gzip(&body) {
                Ok(zipped) => (Some(Rc::new(zipped)), true),
                Err(_) => (Some(body), false),
            },
            body => (body, false),
        };
        let head = self.head.bytes(method, target, kind, body.as_ref().map(|body| body.len()), zipped);
        let (head, body) = (Rc::new(head), body.unwrap_or_default());
        let sent = |transport, reused| {
            let (head, body, decoder) = (Rc::clone(&head), Rc::clone(&body), Decoder::default());
            Sent { transport, reused, head, body, what: what.clone(), decoder, until }
        };
        if let Some(transport) = self.idle.pop() {
            let mut sent = sent(transport, true);
            if sent.write().is_ok() {
                return Ok(sent);
            }
            // The server closed it meanwhile, and likely the others as well.
            self.idle.clear();
        }
        let mut sent = sent(self.connect()?, false);
        // A server may answer (too large, say) and close before it has read everything: its answer is looked for.
        if sent.write().is_err() {
            sent.until = sent.until.min(Instant::now() + Duration::from_secs(2));
        }
        Ok(sent)
    }

    /// Waits for the answer.
    pub(crate) fn receive(&mut self, mut sent: Sent) -> Result<Response> {
        loop {
            if let Some(answer) = self.look(&mut sent, Duration::MAX)? {
                self.keep(sent, &answer);
                return Ok(answer);
            }
        }
    }

    /// Whether the answer is there; waits for it, or for a part of it, at most so long. After an answer the connection is to
    /// be given back with [`Client::keep`].
    pub(crate) fn look(&mut self, sent: &mut Sent, wait: Duration) -> Result<Option<Response>> {
        // What was sent during an earlier call is waited for as long as this one may take.
        let left = sent.until.min(self.until).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::transient(format!("{} at {} was not answered in time", sent.what, self.address())));
        }
        match sent.transport.read(READ_BYTES, left.min(wait)) {
            Ok(bytes) => {
                let answer = sent.decoder.feed(&bytes).map_err(|malformed| {
                    let text =
                        format!("the answer of {} to {} cannot be read: {}", self.address(), sent.what, malformed.0);
                    Error::transient(text)
                })?;
                self.of_cluster(&sent.what, answer)
            }
            Err(broken) => match sent.decoder.ended() {
                Some(answer) => self.of_cluster(&sent.what, Some(answer)),
                None if sent.reused && sent.decoder.is_untouched() => {
                    self.idle.clear();
                    self.again(sent)?;
                    Ok(None)
                }
                None => Err(self.lost(&sent.what, &broken)),
            },
        }
    }

    /// Only what the cluster wrote decides about documents and indexes; anything else is waited for.
    fn of_cluster(&self, what: &str, answer: Option<Response>) -> Result<Option<Response>> {
        match answer.as_ref().and_then(|answer| Some((answer.status, answer.foreign()?))) {
            Some((status, said)) => {
                Err(Error::transient(format!("{what} at {} was answered {status} by {said}", self.address())))
            }
            None => Ok(answer),
        }
    }

    /// Takes back the connection that an answer came on.
    pub(crate) fn keep(&mut self, sent: Sent, answer: &Response) {
        if answer.keep {
            self.idle.push(sent.transport);
        }
    }

    /// Asks and waits for the answer, whatever it is.
    pub(crate) fn ask(&mut self, method: &str, target: &str, body: Option<&serde_json::Value>) -> Result<Response> {
        let body = body.map(|body| Rc::new(body.to_string().into_bytes()));
        let sent = self.send(method, target, Kind::Json, body)?;
        self.receive(sent)
    }

    /// What an answer that is no success means.
    pub(crate) fn refused(&self, answer: &Response, doing: &str) -> Error {
        self.explain(&ClusterError::of(answer), doing)
    }

    /// What a error means.
    pub(crate) fn explain(&self, error: &ClusterError, doing: &str) -> Error {
        error.error(&format!("{doing} at {}", self.address()), self.setting)
    }

    fn connect(&self) -> Result<Box<dyn Transport>> {
        let time = CONNECT_TIMEOUT.min(self.left()).max(Duration::from_millis(1));
        connect(&self.url.address(), &self.url.host, self.tls.as_ref(), time)
    }

    /// The same request on a fresh connection.
    fn again(&self, sent: &mut Sent) -> Result<()> {
        (sent.transport, sent.reused, sent.decoder) = (self.connect()?, false, Decoder::default());
        sent.write().map_err(|broken| self.lost(&sent.what, &broken))
    }

    fn lost(&self, what: &str, broken: &Broken) -> Error {
        if broken.is_about_us() {
            return unknown(self.address(), &broken.0);
        }
        Error::transient(format!("{what} at {} was cut off: {}", self.address(), broken.0))
    }
}

impl Sent {
    /// Whether its own time is over.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    fn write(&mut self) -> std::result::Result<(), Broken> {
        if self.body.len() <= COALESCED_BYTES {
            return self.transport.write(&[self.head.as_slice(), self.body.as_slice()].concat());
        }
        self.transport.write(&self.head)?;
        self.transport.write(&self.body)
    }
}
