//! Files that are no GGUF, and headers that lie.

use super::super::raw::{ARRAY, Raw, U8};
use super::Expected::{self, Corrupt, Unsupported};

/// The start of an archive: the magic of tar comes late.
fn tar() -> Vec<u8> {
    let mut bytes = vec![b'm'; 512];
    bytes[257..262].copy_from_slice(b"ustar");
    bytes
}

/// Files that are something else.
pub fn signatures() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let safetensors = [&60u64.to_le_bytes()[..], &[b'{'; 60]].concat();
    vec![
        ("empty", vec![], Corrupt(&["only 0 bytes"])),
        ("two bytes", b"GG".to_vec(), Corrupt(&["only 2 bytes"])),
        (
            "wrong magic",
            b"GGUG....".to_vec(),
            Corrupt(&["[47, 47, 55, 47]", "byte 0"]),
        ),
        (
            "html",
            b"<!DOCTYPE html><html>".to_vec(),
            Corrupt(&["HTML"]),
        ),
        (
            "html late",
            b"\xef\xbb\xbf\r\n <HTML lang=en>".to_vec(),
            Corrupt(&["HTML"]),
        ),
        (
            "xml",
            b"<?xml version='1.0'?><Error>".to_vec(),
            Corrupt(&["XML"]),
        ),
        ("json", b"{\"error\":\"gone\"}".to_vec(), Corrupt(&["JSON"])),
        (
            "lfs",
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            Corrupt(&["Git LFS"]),
        ),
        ("zeros", vec![0; 64], Corrupt(&["zeros"])),
        (
            "zip",
            b"PK\x03\x04........".to_vec(),
            Unsupported(&["zip", "PyTorch"]),
        ),
        ("safetensors", safetensors, Unsupported(&["safetensors"])),
        (
            "ggjt",
            b"tjgg\x03\0\0\0".to_vec(),
            Unsupported(&["before GGUF (ggjt)"]),
        ),
        (
            "gzip",
            b"\x1f\x8b\x08\0\0\0\0\0".to_vec(),
            Unsupported(&["gzip"]),
        ),
        (
            "tflite",
            b"\x1c\0\0\0TFL3....".to_vec(),
            Unsupported(&["TensorFlow Lite"]),
        ),
        ("tar", tar(), Unsupported(&["tar archive"])),
        (
            "reversed magic",
            b"FUGG\0\0\0\x03".to_vec(),
            Unsupported(&["big-endian"]),
        ),
    ]
}

/// Counts and versions that cannot be.
pub fn headers() -> Vec<(&'static str, Vec<u8>, Expected)> {
    vec![
        (
            "version 0",
            Raw::version(0, 0, 0).0,
            Corrupt(&["version 0", "byte 4"]),
        ),
        (
            "version 1",
            Raw::version(1, 0, 0).0,
            Unsupported(&["version 1"]),
        ),
        (
            "version 4",
            Raw::version(4, 0, 0).0,
            Unsupported(&["version 4"]),
        ),
        (
            "big-endian",
            Raw::version(3u32.swap_bytes(), 0, 0).0,
            Unsupported(&["big-endian", "version 3"]),
        ),
        (
            "no version",
            b"GGUF".to_vec(),
            Corrupt(&["ends inside the version", "byte 4"]),
        ),
        (
            "absurd tensors",
            Raw::new(u64::MAX, 0).0,
            Corrupt(&["18446744073709551615 tensors", "at most 65536"]),
        ),
        (
            "many tensors",
            Raw::new(9, 0).data(200).0,
            Corrupt(&["9 tensors", "bytes are left"]),
        ),
        (
            "absurd entries",
            Raw::new(0, 1 << 63).0,
            Corrupt(&["9223372036854775808 metadata entries"]),
        ),
        (
            "many entries",
            Raw::new(0, 4).data(40).0,
            Corrupt(&["4 metadata entries", "left"]),
        ),
        (
            "65537 tensors",
            Raw::new(65537, 0).data(33 * 65537).0,
            Corrupt(&["at most 65536"]),
        ),
        (
            "65537 entries",
            Raw::new(0, 65537).data(33 * 65537).0,
            Corrupt(&["at most 65536"]),
        ),
        (
            "metadata eats the directory",
            Raw::new(2, 1).key("k", ARRAY).array(U8, 60).data(70).0,
            Corrupt(&["2 tensors", "bytes are left"]),
        ),
    ]
}
