//! The bytes of a file. A compressed one is held in memory, since nothing can be found in it otherwise.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flusso_plugin::{Error, Result};

/// Bytes of a file that is held in memory; a larger one is to be unpacked by the operator.
const HELD_BYTES: u64 = 64 << 20;
/// The last bytes of what was read, by which a file that only grew is known.
const TAIL_BYTES: u64 = 4 << 10;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// By what a file is seen to be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) modified: Option<SystemTime>,
    pub(crate) length: u64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { modified: metadata.modified().ok(), length: metadata.len() })
    }
}

/// A file and how it is read.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) path: PathBuf,
    packing: Packing,
    held: Vec<u8>,
    pub(crate) stamp: Stamp,
}

pub(crate) fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::transient(format!("{} cannot be read: {error}", path.display()))
}

impl Content {
    /// Looks at a file, and unpacks it where it is packed.
    pub(crate) fn open(path: &Path, packing: Packing) -> Result<Self> {
        let stamp = Stamp::of(path).map_err(|error| failed(path, error))?;
        let mut held = Vec::new();
        if packing != Packing::Plain {
            let file = File::open(path).map_err(|error| failed(path, error))?;
            let read = match packing {
                Packing::Gzip => flate2::read::MultiGzDecoder::new(file).take(HELD_BYTES + 1).read_to_end(&mut held),
                _ => match ruzstd::decoding::StreamingDecoder::new(file) {
                    Ok(decoder) => decoder.take(HELD_BYTES + 1).read_to_end(&mut held),
                    Err(error) => return Err(damaged(path, error)),
                },
            };
            read.map_err(|error| damaged(path, error))?;
            if u64::try_from(held.len()).unwrap_or(u64::MAX) > HELD_BYTES {
                return Err(Error::fatal(format!(
                    "{} has more than {} MiB unpacked, and a packed file is held in memory; unpack it, or divide it into a folder of files",
                    path.display(),
                    HELD_BYTES >> 20
                )));
            }
        }
        Ok(Self { path: path.to_path_buf(), packing, held, stamp })
    }

    /// The bytes from a place on.
    pub(crate) fn from(&self, offset: u64) -> Result<Box<dyn std::io::Read + '_>> {
        if self.packing != Packing::Plain {
            let rest = self.held.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            return Ok(Box::new(rest));
        }
        let mut file = File::open(&self.path).map_err(|error| failed(&self.path, error))?;
        file.seek(SeekFrom::Start(offset)).map_err(|error| failed(&self.path, error))?;
        Ok(Box::new(std::io::BufReader::with_capacity(256 << 10, file)))
    }

    /// Some bytes, one piece after the other in the order of their offsets.
    pub(crate) fn pieces(&self, places: &[(u64, u32)], mut each: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        let mut file = match self.packing {
            Packing::Plain => Some(File::open(&self.path).map_err(|error| failed(&self.path, error))?),
            _ => None,
        };
        let mut buffer = Vec::new();
        for (at, (offset, length)) in places.iter().enumerate() {
            let length = usize::try_from(*length).unwrap_or_default();
            match &mut file {
                None => {
                    let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                    each(at, self.held.get(start..start.saturating_add(length)).unwrap_or_default())?;
                }
                Some(file) => {
                    buffer.resize(length, 0);
                    let reading = file.seek(SeekFrom::Start(*offset)).and_then(|_| file.read_exact(&mut buffer));
                    reading.map_err(|error| failed(&self.path, error))?;
                    each(at, &buffer)?;
                }
            }
        }
        Ok(())
    }

    /// A number for the bytes before a place, by which they are known again.
    pub(crate) fn tail(&self, end: u64) -> Result<u64> {
        let start = end.saturating_sub(TAIL_BYTES);
        let mut hash = 0;
        let length = u32::try_from(end - start).unwrap_or_default();
        self.pieces(&[(start, length)], |_, bytes| {
            hash = xxhash_rust::xxh3::xxh3_64(bytes);
            Ok(())
        })?;
        Ok(hash)
    }
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> Error {
    // It may be in the middle of being written.
    Error::transient(format!("{} cannot be unpacked: {error}", path.display()))
}
