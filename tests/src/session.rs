//! A session with the database over its wire protocol: statements go in, rows come out. It shares no code with the plugins.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that has to answer within this.
const PATIENCE: Duration = Duration::from_secs(300);

/// One session, as the user `postgres`, who needs no password.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<TcpStream>,
}

/// What the server said to some statements that were sent together.
#[derive(Debug, Default)]
pub struct Answer {
    /// All rows, columns as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// What the last statement did, such as `COMMIT` or `UPDATE 3`.
    pub tag: String,
    /// Why it stopped in the middle: the SQLSTATE and a message.
    pub error: Option<(String, String)>,
    /// Whether a transaction is open that failed.
    pub failed: bool,
}

impl Session {
    /// Connects.
    pub fn open(port: u16, database: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self { stream: BufReader::with_capacity(64 << 10, stream) };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", "postgres", "database", database, "options", "-c timezone=UTC", ""] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        session.send(&[], &body)?;
        match session.answer()?.error {
            None => Ok(session),
            Some((code, message)) => Err(io::Error::other(format!("{message} ({code})"))),
        }
    }

    /// Sends statements together: they are one transaction, unless they say otherwise.
    pub fn run(&mut self, sql: &str) -> io::Result<Answer> {
        self.send(b"Q", &[sql.as_bytes(), b"\0"].concat())?;
        self.answer()
    }

    /// The same, and they must succeed.
    pub fn rows(&mut self, sql: &str) -> io::Result<Vec<Vec<Option<String>>>> {
        let answer = self.run(sql)?;
        match answer.error {
            None => Ok(answer.rows),
            Some((code, message)) => Err(io::Error::other(format!("{message} ({code}) in {sql}"))),
        }
    }

    fn send(&mut self, tag: &[u8], body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        self.stream.get_mut().write_all(&[tag, &length.to_be_bytes(), body].concat())
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head)?;
            let [tag, length @ ..] = head;
            let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
            self.stream.read_exact(&mut body)?;
            match tag {
                b'D' => answer.rows.push(row(&body).ok_or_else(|| io::Error::other("a row makes no sense"))?),
                b'C' => answer.tag = text(body.strip_suffix(b"\0").unwrap_or(&body)),
                b'E' => answer.error = Some(problem(&body)),
                b'R' if body != [0; 4] => return Err(io::Error::other("the server wants a password")),
                b'Z' => {
                    answer.failed = body == b"E";
                    return Ok(answer);
                }
                _ => {}
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn row(mut body: &[u8]) -> Option<Vec<Option<String>>> {
    let count = u16::from_be_bytes(*body.split_off(..2)?.first_chunk()?);
    (0..count)
        .map(|_| {
            let length = i32::from_be_bytes(*body.split_off(..4)?.first_chunk()?);
            match usize::try_from(length) {
                Ok(length) => Some(Some(text(body.split_off(..length)?))),
                Err(_) => Some(None),
            }
        })
        .collect()
}

fn problem(body: &[u8]) -> (String, String) {
    let mut found = (String::new(), String::new());
    for field in body.split(|byte| *byte == 0) {
        match field.split_first() {
            Some((b'C', code)) => found.0 = text(code),
            Some((b'M', message)) => found.1 = text(message),
            _ => {}
        }
    }
    found
}
