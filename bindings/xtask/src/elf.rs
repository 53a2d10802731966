//! What Android asks of a shared library: its segments must be loadable with memory pages of 16 KB
//! (required of apps since Android 15). Read from the file's program headers, as the ELF
//! specification lays them out.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// The page size that every loaded segment must be aligned to, or to a multiple of it.
pub const PAGE: u64 = 16 * 1024;

/// The type of a program header whose segment is loaded.
const LOAD: u32 = 1;

/// A loaded segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file.
    pub offset: u64,
    /// Where it begins in memory.
    pub address: u64,
    /// What its address is a multiple of, but for the offset's remainder.
    pub align: u64,
}

/// Checks that a library loads with pages of 16 KB, and returns its segments.
///
/// # Errors
/// When it cannot be read, is no little-endian ELF file, loads nothing, or a segment does not fit.
pub fn check_pages(library: &Path) -> Result<Vec<Segment>> {
    let bytes = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let check = || -> Result<Vec<Segment>> {
        let segments = loaded(&bytes)?;
        ensure!(!segments.is_empty(), "it loads nothing");
        for segment in &segments {
            ensure!(
                segment.align >= PAGE && segment.align.is_power_of_two(),
                "the segment at {:#x} is aligned to {:#x}, not to {PAGE:#x} \
                 (link with -z max-page-size={PAGE})",
                segment.offset,
                segment.align
            );
            ensure!(
                segment.offset % PAGE == segment.address % PAGE,
                "the segment at {:#x} begins at {:#x} in memory, elsewhere in its page",
                segment.offset,
                segment.address
            );
        }
        Ok(segments)
    };
    check().with_context(|| library.display().to_string())
}

/// The loaded segments of an ELF file of 32 or 64 bits.
fn loaded(bytes: &[u8]) -> Result<Vec<Segment>> {
    ensure!(bytes.starts_with(b"\x7fELF"), "it is no ELF file");
    ensure!(bytes.get(5) == Some(&1), "it is not little-endian");
    let wide = match bytes.get(4) {
        Some(1) => false,
        Some(2) => true,
        _ => bail!("it has neither 32 nor 64 bits"),
    };
    // Offsets of the same fields in both layouts: start, size and number of the program headers.
    let (start, size, number) = match wide {
        true => (
            word(bytes, 0x20, 8)?,
            word(bytes, 0x36, 2)?,
            word(bytes, 0x38, 2)?,
        ),
        false => (
            word(bytes, 0x1c, 4)?,
            word(bytes, 0x2a, 2)?,
            word(bytes, 0x2c, 2)?,
        ),
    };
    let mut segments = Vec::new();
    for index in 0..number {
        let at = index
            .checked_mul(size)
            .and_then(|offset| offset.checked_add(start))
            .context("a program header lies outside of the file")?;
        if word(bytes, at, 4)? != u64::from(LOAD) {
            continue;
        }
        let field = |narrow: u64, wide_offset: u64| match wide {
            true => word(bytes, at.saturating_add(wide_offset), 8),
            false => word(bytes, at.saturating_add(narrow), 4),
        };
        segments.push(Segment {
            offset: field(0x04, 0x08)?,
            address: field(0x08, 0x10)?,
            align: field(0x1c, 0x30)?,
        });
    }
    Ok(segments)
}

/// A little-endian number of up to eight bytes.
fn word(bytes: &[u8], at: u64, len: usize) -> Result<u64> {
    let at = usize::try_from(at).ok();
    let slice = at.and_then(|at| bytes.get(at..at.checked_add(len)?));
    let slice = slice.context("a header lies outside of the file")?;
    Ok(slice
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use super::*;

    /// A library made by this machine's linker, with segments for pages of `page` bytes.
    fn library(page: u64) -> Option<PathBuf> {
        let folder = std::env::temp_dir().join("pocketlm-xtask");
        fs::create_dir_all(&folder).ok()?;
        let file = folder.join(format!("pages-{page}-{}.so", std::process::id()));
        let source = folder.join(format!("pages-{page}-{}.c", std::process::id()));
        fs::write(
            &source,
            "int counter = 1; int next(void) { return ++counter; }\n",
        )
        .ok()?;
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-nostdlib"])
            .args([
                format!("-Wl,-z,max-page-size={page}"),
                format!("-Wl,-z,common-page-size={page}"),
            ])
            .arg("-o")
            .args([&file, &source])
            .stderr(Stdio::null())
            .status();
        let _ = fs::remove_file(source);
        status.is_ok_and(|status| status.success()).then_some(file)
    }

    #[test]
    fn real_libraries_are_judged_by_their_pages() {
        if !cfg!(target_os = "linux") {
            println!("SKIPPED: this system's linker makes no ELF files");
            return;
        }
        for (page, fits) in [(4096, false), (PAGE, true), (4 * PAGE, true)] {
            let Some(file) = library(page) else {
                println!("SKIPPED: no C compiler");
                return;
            };
            let result = check_pages(&file);
            let _ = fs::remove_file(&file);
            match result {
                Ok(segments) => {
                    assert!(fits && segments.len() > 1, "{page}: {segments:?}");
                    assert!(segments.iter().all(|segment| segment.align == page));
                }
                Err(error) => assert!(!fits, "{page}: {error:#}"),
            }
        }
    }

    #[test]
    fn what_is_no_library_is_an_error() {
        let mut header = vec![0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        // No program header, and one that lies outside of the file.
        let mut outside = header.clone();
        outside[0x20..0x28].copy_from_slice(&u64::MAX.to_le_bytes());
        outside[0x36] = 56;
        outside[0x38] = 2;
        let mut big_endian = header.clone();
        big_endian[5] = 2;
        let mut odd = header.clone();
        odd[4] = 7;
        for bytes in [
            &b""[..],
            b"\x7fELF",
            b"MZ",
            &outside,
            &big_endian,
            &odd,
            &header[..40],
        ] {
            assert!(loaded(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(loaded(&header).ok(), Some(Vec::new()));
    }
}
