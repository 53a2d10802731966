//! Telling what a file is when it is not GGUF: most "corrupt model" reports are a saved web page or
//! another format's file under a `.gguf` name.

use crate::error::PocketError;

/// The first four bytes of a GGUF file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";

/// First bytes of a file and what they are a sign of.
struct Signature {
    at: usize,
    bytes: &'static [u8],
    what: &'static str,
    /// A sound file of a format that is not read here, rather than debris of a failed download.
    other_format: bool,
}

const fn other(at: usize, bytes: &'static [u8], what: &'static str) -> Signature {
    Signature {
        at,
        bytes,
        what,
        other_format: true,
    }
}

const fn debris(bytes: &'static [u8], what: &'static str) -> Signature {
    Signature {
        at: 0,
        bytes,
        what,
        other_format: false,
    }
}

const SIGNATURES: &[Signature] = &[
    other(0, b"FUGG", "a big-endian GGUF file"),
    other(0, b"lmgg", "a GGML model from before GGUF (ggml)"),
    other(0, b"fmgg", "a GGML model from before GGUF (ggmf)"),
    other(0, b"tjgg", "a GGML model from before GGUF (ggjt)"),
    other(0, b"algg", "a GGML adapter from before GGUF (ggla)"),
    other(
        0,
        b"PK\x03\x04",
        "a zip archive (PyTorch checkpoints are zip archives too)",
    ),
    other(0, b"\x1f\x8b", "gzip-compressed"),
    other(0, b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    other(0, b"7z\xbc\xaf", "a 7z archive"),
    other(0, b"\x89HDF", "an HDF5 file (Keras weights)"),
    other(4, b"TFL3", "a TensorFlow Lite model"),
    other(257, b"ustar", "a tar archive"),
    debris(
        b"version https://git-lfs",
        "a Git LFS pointer; the model itself was not downloaded",
    ),
    debris(
        b"\0\0\0\0\0\0\0\0",
        "zeros; a download that was allocated but not written",
    ),
];

/// Markup may start with white space or a byte order mark and be in any case.
fn text_kind(head: &[u8]) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.trim_ascii_start();
    let starts = |prefix: &[u8]| {
        head.get(..prefix.len())
            .is_some_and(|h| h.eq_ignore_ascii_case(prefix))
    };
    if starts(b"<!doctype html") || starts(b"<html") || starts(b"<head") {
        Some("an HTML page; the download probably saved a login or error page")
    } else if starts(b"<?xml") {
        Some("an XML document; the download probably saved an error message")
    } else if starts(b"{") || starts(b"[") {
        Some("JSON text; the download probably saved an error message")
    } else {
        None
    }
}

/// Safetensors starts with the length of its JSON header and the header.
fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.split_first_chunk::<8>().is_some_and(|(len, rest)| {
        let len = u64::from_le_bytes(*len);
        len > 1 && len <= rest.len() as u64 && rest.starts_with(b"{")
    })
}

/// The error for a file that does not start with [`MAGIC`].
pub(super) fn not_gguf(bytes: &[u8]) -> PocketError {
    let found = SIGNATURES
        .iter()
        .find(|s| bytes.get(s.at..).is_some_and(|b| b.starts_with(s.bytes)));
    let looks_like = |what: &str| format!("not a GGUF file: it looks like {what}");
    let (what, other_format) = match found {
        Some(s) => (looks_like(s.what), s.other_format),
        None if is_safetensors(bytes) => (looks_like("a safetensors file"), true),
        None => match text_kind(bytes.get(..512).unwrap_or(bytes)) {
            Some(kind) => (looks_like(kind), false),
            None => {
                let head = bytes.get(..4).unwrap_or(bytes);
                let what = format!("not a GGUF file: it starts with {head:02x?}, not `GGUF`");
                (what, false)
            }
        },
    };
    if other_format {
        PocketError::unsupported(what)
    } else {
        PocketError::corrupt(what, "the header, byte 0")
    }
}
