//! What a library says about itself, read from its file without loading it.

use std::path::Path;

use object::{Architecture, BinaryFormat, Object as _, ObjectSection as _};

use crate::limits;
use crate::plugin::manifest::Refusal;

/// How the name of a library ends on this system.
pub(in crate::plugin) const ENDING: &str = if cfg!(target_vendor = "apple") { "dylib" } else { "so" };

/// Whether a file begins as a library of any system does.
pub(in crate::plugin) fn is_library(bytes: &[u8]) -> bool {
    matches!(bytes.first_chunk(), Some(b"\x7fELF" | b"\xcf\xfa\xed\xfe" | b"\xca\xfe\xba\xbe"))
}

/// The text of its manifest.
pub(in crate::plugin) fn manifest(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let own = || path.to_path_buf();
    let damaged = |error: object::Error| Refusal::Damaged { path: own(), reason: error.to_string() };
    let library = object::File::parse(bytes).map_err(damaged)?;
    if library.architecture() != HERE || library.format() != FORMAT {
        let found = format!("{:?} {:?}", library.format(), library.architecture());
        return Err(Refusal::OtherMachine { path: own(), found: found.to_lowercase() });
    }
    let Some(section) = library.section_by_name(flusso_abi::MANIFEST_SECTION) else {
        return behind_end(bytes).map(<[u8]>::to_vec).ok_or_else(|| Refusal::NativeNoManifest { path: own() });
    };
    if section.size() > limits::artifact::MANIFEST_BYTES {
        let reason =
            format!("its manifest has {} bytes; at most {} are read", section.size(), limits::artifact::MANIFEST_BYTES);
        return Err(Refusal::Damaged { path: own(), reason });
    }
    let text = section.uncompressed_data().map_err(damaged)?;
    // A linker may fill a section up, and C ends a text with a zero.
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok(text.get(..end).unwrap_or_default().to_vec())
}

/// The last bytes of a library with a manifest behind its end, which loaders do not read: the manifest, its length, this.
const MARK: &[u8; 16] = b"flusso:manifest\0";

/// What to append to a library so that its file has this manifest.
pub(in crate::plugin) fn trailer(manifest: &str) -> Vec<u8> {
    let length = u64::try_from(manifest.len()).unwrap_or(u64::MAX);
    [manifest.as_bytes(), &length.to_le_bytes(), MARK].concat()
}

/// The manifest behind the end of a library.
fn behind_end(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, length) = bytes.strip_suffix(MARK)?.split_last_chunk()?;
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length).ok().filter(|_| length <= limits::artifact::MANIFEST_BYTES)?;
    rest.get(rest.len().checked_sub(length)?..)
}

const HERE: Architecture = if cfg!(target_arch = "x86_64") {
    Architecture::X86_64
} else if cfg!(target_arch = "aarch64") {
    Architecture::Aarch64
} else {
    Architecture::Unknown
};

const FORMAT: BinaryFormat = if cfg!(target_vendor = "apple") { BinaryFormat::MachO } else { BinaryFormat::Elf };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_cut_or_of_another_machine_is_refused_by_name() {
        let own = std::env::current_exe().and_then(std::fs::read).unwrap_or_else(|error| panic!("{error}"));
        let refused =
            |bytes: &[u8]| manifest(Path::new("x.so"), bytes).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(is_library(&own) && refused(&own).contains("x.so is a library without"), "{}", refused(&own));
        for length in [4, 20, 64, 1_000] {
            assert!(refused(own.get(..length).unwrap_or_default()).contains("x.so is damaged"), "{length}");
        }
        let whole = [own.as_slice(), &trailer("{}")].concat();
        assert_eq!(manifest(Path::new("x.so"), &whole).ok(), Some(b"{}".to_vec()));
        let mut short = whole.clone();
        // A length that goes beyond the file.
        let at = short.len() - MARK.len() - 8;
        short.splice(at..at + 8, u64::MAX.to_le_bytes());
        assert!(refused(&short).contains("x.so is a library without"));
        let mut other = own.clone();
        // The machine of an ELF file, here one for RISC-V.
        if let Some(machine) = other.get_mut(18..20) {
            machine.copy_from_slice(&243_u16.to_le_bytes());
        }
        assert!(refused(&other).contains("riscv64"), "{}", refused(&other));
    }
}
