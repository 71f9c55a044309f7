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

/// Rows so near to each other are read together, with what is between them.
const GAP_BYTES: u64 = 4 << 10;
/// At most so many bytes at once.
const PIECE_BYTES: u64 = 1 << 20;

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

    /// Some bytes, which stand in the order of their offsets; neighbours are read together.
    pub(crate) fn pieces(&self, places: &[(u64, u32)], mut each: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        if self.packing != Packing::Plain {
            for (at, (offset, length)) in places.iter().enumerate() {
                let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(usize::try_from(*length).unwrap_or_default());
                each(at, self.held.get(start..end).unwrap_or_default())?;
            }
            return Ok(());
        }
        let mut file = File::open(&self.path).map_err(|error| failed(&self.path, error))?;
        let (mut buffer, mut at) = (Vec::new(), 0);
        let end_of = |(offset, length): &(u64, u32)| offset.saturating_add(u64::from(*length));
        while let Some(first) = places.get(at) {
            let (start, mut end) = (first.0, end_of(first));
            let near = places.get(at..).unwrap_or_default().iter().take_while(|place| {
                let fits =
                    place.0 <= end.saturating_add(GAP_BYTES) && end_of(place) <= start.saturating_add(PIECE_BYTES);
                end = if fits { end.max(end_of(place)) } else { end };
                fits
            });
            let count = near.count().max(1);
            buffer.resize(usize::try_from(end - start).unwrap_or_default(), 0);
            let reading = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut buffer));
            reading.map_err(|error| failed(&self.path, error))?;
            for (offset, length) in places.get(at..at + count).unwrap_or_default() {
                let from = usize::try_from(offset - start).unwrap_or_default();
                let to = from.saturating_add(usize::try_from(*length).unwrap_or_default());
                each(at, buffer.get(from..to).unwrap_or_default())?;
                at += 1;
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
