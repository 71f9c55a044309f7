//! Walks over the sections of a component by their headers, and reads the two it is asked for: one custom section, at any
//! depth (a linker leaves it in a nested module), and the names of the outermost exports. Everything else is sought over.

use std::io::{self, Read, Seek, SeekFrom};

use wasmparser::{BinaryReader, ComponentExportSectionReader};

use crate::limits;

/// What every WebAssembly file begins with.
const MAGIC: [u8; 4] = *b"\0asm";
/// The layer field of a component's header; a module has 0.
const COMPONENT_LAYER: u8 = 1;
/// Section numbers of the component binary format.
const CUSTOM: u8 = 0;
const NESTED_MODULE: u8 = 1;
const NESTED_COMPONENT: u8 = 4;
const EXPORT: u8 = 11;
/// What was found.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// The contents of the custom section that was asked for.
    pub(super) custom: Option<Vec<u8>>,
    /// The names of the outermost exports.
    pub(super) exports: Vec<String>,
}

/// Why it could not be read.
#[derive(Debug)]
pub(super) enum Error {
    /// The system said no.
    Io(io::Error),
    /// No WebAssembly.
    NotWasm,
    /// A module where a component was expected.
    CoreModule,
    /// WebAssembly that ends early or contradicts itself.
    Damaged(String),
}

/// A custom section, as it is appended to a component.
pub(super) fn custom_section(name: &str, contents: &[u8]) -> Vec<u8> {
    fn number(to: &mut Vec<u8>, mut value: usize) {
        while value >= 0x80 {
            to.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        to.push((value & 0x7f) as u8);
    }
    let mut payload = Vec::with_capacity(name.len() + contents.len() + 5);
    number(&mut payload, name.len());
    payload.extend_from_slice(name.as_bytes());
    payload.extend_from_slice(contents);
    let mut section = vec![CUSTOM];
    number(&mut section, payload.len());
    section.append(&mut payload);
    section
}

/// Reads the sections of `input`, which is `length` bytes long.
pub(super) fn read<R: Read + Seek>(mut input: R, length: u64, custom: &str, max: u64) -> Result<Sections, Error> {
    let mut header = [0; 8];
    if length < 8 {
        return Err(Error::NotWasm);
    }
    input.read_exact(&mut header).map_err(Error::Io)?;
    match header {
        [a, b, c, d, ..] if [a, b, c, d] != MAGIC => return Err(Error::NotWasm),
        [_, _, _, _, _, _, layer, _] if layer != COMPONENT_LAYER => return Err(Error::CoreModule),
        _ => {}
    }
    let mut walk = Walk { input, custom, max, found: Sections::default() };
    walk.body(8, length, 0, true)?;
    Ok(walk.found)
}

struct Walk<'a, R> {
    input: R,
    custom: &'a str,
    max: u64,
    found: Sections,
}

impl<R: Read + Seek> Walk<'_, R> {
    /// The sections from `start` to `end`, those of a component or a module.
    fn body(&mut self, start: u64, end: u64, depth: usize, component: bool) -> Result<(), Error> {
        if depth > limits::artifact::NESTING {
            return Err(Error::Damaged(format!("components nest more than {} deep", limits::artifact::NESTING)));
        }
        let mut at = start;
        while at < end {
            self.seek(at)?;
            let id = self.byte()?;
            let size = u64::from(self.number()?);
            let payload = self.input.stream_position().map_err(Error::Io)?;
            let next = payload.checked_add(size).filter(|next| *next <= end);
            let next = next.ok_or_else(|| Error::Damaged("a section is longer than the file".to_owned()))?;
            match id {
                CUSTOM if self.found.custom.is_none() => self.custom_section(payload, next)?,
                NESTED_MODULE if component && size >= 8 => self.body(payload + 8, next, depth + 1, false)?,
                NESTED_COMPONENT if component && size >= 8 => self.body(payload + 8, next, depth + 1, true)?,
                EXPORT if component && depth == 0 => self.exports(size)?,
                _ => {}
            }
            at = next;
        }
        Ok(())
    }

    fn custom_section(&mut self, payload: u64, end: u64) -> Result<(), Error> {
        let length = u64::from(self.number()?);
        let name_at = self.input.stream_position().map_err(Error::Io)?;
        if name_at + length > end {
            return Err(Error::Damaged(format!("the custom section at {payload} has a name longer than itself")));
        }
        if usize::try_from(length) != Ok(self.custom.len()) || self.bytes(length)? != self.custom.as_bytes() {
            return Ok(());
        }
        let size = end - name_at - length;
        if size > self.max {
            return Err(Error::Damaged(format!(
                "section `{}` has {size} bytes; at most {} are read",
                self.custom, self.max
            )));
        }
        self.found.custom = Some(self.bytes(size)?);
        Ok(())
    }

    fn exports(&mut self, size: u64) -> Result<(), Error> {
        if size > limits::artifact::EXPORT_SECTION_BYTES {
            return Err(Error::Damaged(format!(
                "an export section has {size} bytes; at most {} are read",
                limits::artifact::EXPORT_SECTION_BYTES
            )));
        }
        let bytes = self.bytes(size)?;
        let damaged = |error: wasmparser::BinaryReaderError| Error::Damaged(error.to_string());
        for export in ComponentExportSectionReader::new(BinaryReader::new(&bytes, 0)).map_err(damaged)? {
            self.found.exports.push(export.map_err(damaged)?.name.name.to_owned());
        }
        Ok(())
    }

    fn seek(&mut self, to: u64) -> Result<(), Error> {
        self.input.seek(SeekFrom::Start(to)).map(drop).map_err(Error::Io)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(cut)?;
        Ok(byte[0])
    }

    fn bytes(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| Error::Damaged("a section is too long".to_owned()))?];
        self.input.read_exact(&mut bytes).map_err(cut)?;
        Ok(bytes)
    }

    /// An unsigned LEB128 of 32 bits.
    fn number(&mut self) -> Result<u32, Error> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Error::Damaged("a length is too large".to_owned()));
            }
        }
        Err(Error::Damaged("a length is too long".to_owned()))
    }
}

fn cut(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Damaged("it ends early".to_owned()),
        _ => Error::Io(error),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A component that is nothing but headers: the manifest in a nested module, and one export section.
    pub(crate) fn component(manifest: Option<&str>, exports: &[&str]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        section(&mut module, 10, &[0; 300]);
        if let Some(manifest) = manifest {
            section(&mut module, CUSTOM, &[&named("flusso:manifest"), manifest.as_bytes()].concat());
        }
        let mut out = b"\0asm\x0d\0\x01\0".to_vec();
        section(&mut out, CUSTOM, &named("something-else"));
        section(&mut out, NESTED_MODULE, &module);
        let mut body = vec![u8::try_from(exports.len()).unwrap_or(0)];
        for name in exports {
            // An external name (plain), an instance, its number, and no type.
            body.push(0);
            body.extend(named(name));
            body.extend([5, 0, 0]);
        }
        section(&mut out, EXPORT, &body);
        out
    }

    fn named(name: &str) -> Vec<u8> {
        [leb(name.len()), name.as_bytes().to_vec()].concat()
    }

    fn section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
        out.push(id);
        out.extend(leb(body.len()));
        out.extend(body);
    }

    fn leb(mut value: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let byte = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            out.push(if value == 0 { byte } else { byte | 0x80 });
            if value == 0 {
                return out;
            }
        }
    }

    #[test]
    fn finds_a_section_in_a_nested_module_and_the_outermost_exports() {
        let bytes = component(Some("{}"), &["a:b/c@1.0.0", "d"]);
        let found = read(io::Cursor::new(&bytes), bytes.len() as u64, "flusso:manifest", 100);
        let found = found.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(found.custom.as_deref(), Some(b"{}".as_slice()));
        assert_eq!(found.exports, ["a:b/c@1.0.0", "d"]);
    }

    #[test]
    fn a_section_over_the_limit_is_refused() {
        let bytes = component(Some("{\"name\":1}"), &[]);
        let found = read(io::Cursor::new(&bytes), bytes.len() as u64, "flusso:manifest", 5);
        assert!(matches!(found, Err(Error::Damaged(text)) if text.contains("at most 5")));
    }
}
