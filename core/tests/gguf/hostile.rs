//! Files made to break a reader, each with the error it must give.

mod header;

use pocketlm::PocketError;
use pocketlm::gguf::Gguf;

use super::damage::{budget, peak_of};
use super::raw::{ARRAY, BOOL, F32, I8, Q8_0, Raw, STRING, U8, U32};

/// How the error must come: the variant, and what its text must contain.
enum Expected {
    Corrupt(&'static [&'static str]),
    Unsupported(&'static [&'static str]),
}
use Expected::{Corrupt, Unsupported};

/// A file with one tensor `t` of `shape`, and `data` bytes.
fn one_tensor(shape: &[u64], ty: u32, offset: u64, data: usize) -> Raw {
    Raw::new(1, 0).tensor("t", shape, ty, offset).data(data)
}

/// A file with the key `k` of type `ty`; the value follows.
fn one_key(ty: u32) -> Raw {
    Raw::new(0, 1).key("k", ty)
}

fn nested_arrays(depth: usize) -> Raw {
    let start = one_key(ARRAY);
    let nested = (1..depth).fold(start, |raw, _| raw.array(ARRAY, 1));
    nested.array(U8, 1).bytes(&[7])
}

fn cases() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let mut cases = header::signatures();
    cases.extend(header::headers());
    cases.extend(metadata());
    cases.extend(tensors());
    cases
}

fn metadata() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let alignment = |n: u32| Raw::new(0, 1).key("general.alignment", U32).u32(n).0;
    let two_keys = Raw::new(0, 2).key("k", U8).bytes(&[1]);
    vec![
        (
            "key past the end",
            Raw::new(0, 1).u64(40).data(20).0,
            Corrupt(&["ends inside the key", "metadata entry 0", "byte 32"]),
        ),
        (
            "key length overflows",
            Raw::new(0, 1).u64(u64::MAX).data(20).0,
            Corrupt(&["the key claims 18446744073709551615 bytes", "at most 65535"]),
        ),
        (
            "empty key",
            Raw::new(0, 1).key("", U8).bytes(&[1]).0,
            Corrupt(&["key is empty"]),
        ),
        (
            "key not UTF-8",
            Raw::new(0, 1).string(b"ab\xffcd").u32(U8).bytes(&[1]).0,
            Corrupt(&["the key is not valid UTF-8", "metadata entry 0", "byte 34"]),
        ),
        (
            "value type 13",
            one_key(13).u64(0).0,
            Corrupt(&["value type 13", "key `k`", "byte 33"]),
        ),
        (
            "short value",
            one_key(10).u32(0).0,
            Corrupt(&["ends inside the value", "8 bytes needed"]),
        ),
        (
            "bool 2",
            one_key(BOOL).bytes(&[2]).0,
            Corrupt(&["byte 2", "0 or 1", "byte 37"]),
        ),
        (
            "string past the end",
            one_key(STRING).u64(9).bytes(b"short").0,
            Corrupt(&["inside the string", "9 bytes needed, 5 left", "`k`"]),
        ),
        (
            "string length overflows",
            one_key(STRING).u64(u64::MAX - 3).bytes(b"short").0,
            Corrupt(&["inside the string", "18446744073709551612 bytes needed"]),
        ),
        (
            "string not UTF-8",
            one_key(STRING).string(b"\xc3\x28").0,
            Corrupt(&["not valid UTF-8", "`k`", "byte 45"]),
        ),
        (
            "array longer than the file",
            one_key(ARRAY).array(U32, 1000).u32(0).0,
            Corrupt(&[
                "claims 1000 elements of type u32",
                "4 bytes are left",
                "`k`",
            ]),
        ),
        (
            "array size overflows",
            one_key(ARRAY).array(U32, 1 << 62).u32(0).0,
            Corrupt(&["claims 4611686018427387904 elements"]),
        ),
        (
            "array of strings longer than the file",
            one_key(ARRAY).array(STRING, 3).string("a").0,
            Corrupt(&["claims 3 elements of type string"]),
        ),
        (
            "string of an array past the end",
            one_key(ARRAY)
                .array(STRING, 2)
                .string("a")
                .u64(2)
                .bytes(b"b")
                .0,
            Corrupt(&["inside a string of the array"]),
        ),
        (
            "bool of an array",
            one_key(ARRAY).array(BOOL, 2).bytes(&[1, 255]).0,
            Corrupt(&["an element is the byte 255"]),
        ),
        (
            "array of type 99",
            one_key(ARRAY).array(99, 0).0,
            Corrupt(&["element type 99"]),
        ),
        (
            "arrays 5 deep",
            nested_arrays(5).0,
            Corrupt(&["deeper than 4", "`k`"]),
        ),
        (
            "arrays 5000 deep",
            nested_arrays(5000).0,
            Corrupt(&["deeper than 4"]),
        ),
        (
            "key twice",
            two_keys.key("k", U8).bytes(&[2]).0,
            Corrupt(&["key is there twice", "first at byte 32", "`k`", "byte 46"]),
        ),
        (
            "alignment 0",
            alignment(0),
            Corrupt(&["alignment 0", "`general.alignment`"]),
        ),
        (
            "alignment 24",
            alignment(24),
            Corrupt(&["alignment 24", "power of two"]),
        ),
        ("alignment 4", alignment(4), Corrupt(&["alignment 4"])),
        (
            "alignment 2 GiB",
            alignment(1 << 31),
            Corrupt(&["alignment 2147483648"]),
        ),
        (
            "alignment is text",
            Raw::new(0, 1)
                .key("general.alignment", STRING)
                .string("32")
                .0,
            Corrupt(&["expected u64, found string", "`general.alignment`"]),
        ),
        (
            "split count is negative",
            Raw::new(0, 1).key("split.count", 3).bytes(&[0xff, 0xff]).0,
            Corrupt(&["found i16 -1", "`split.count`"]),
        ),
        (
            "split count is absurd",
            Raw::new(0, 1).key("split.count", U32).u32(1 << 30).0,
            Corrupt(&["1073741824 shards"]),
        ),
        (
            "control characters stay out of messages",
            Raw::new(0, 1).key("a\x1b[31m\nb", U8).0,
            Corrupt(&["`a\u{fffd}[31m\u{fffd}b`"]),
        ),
    ]
}

fn tensors() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let two = |a: u64, b: u64, data: usize| {
        let first = Raw::new(2, 0).tensor("a", &[16], F32, a);
        first.tensor("b", &[16], F32, b).data(data).0
    };
    vec![
        (
            "no dimensions",
            one_tensor(&[], F32, 0, 64).0,
            Corrupt(&["0 dimensions", "tensor `t`"]),
        ),
        (
            "5 dimensions",
            one_tensor(&[1; 5], F32, 0, 64).0,
            Corrupt(&["5 dimensions", "`t`"]),
        ),
        (
            "absurd dimensions",
            Raw::new(1, 0).string("t").u32(u32::MAX).data(99).0,
            Corrupt(&["4294967295 dimensions"]),
        ),
        (
            "zero dimension",
            one_tensor(&[4, 0], F32, 0, 64).0,
            Corrupt(&["[4, 0] is zero", "`t`"]),
        ),
        (
            "zero hides an overflow",
            one_tensor(&[1 << 63, 1 << 63, 0], F32, 0, 64).0,
            Corrupt(&["is zero"]),
        ),
        (
            "product overflows",
            one_tensor(&[1 << 32, 1 << 32, 4], F32, 0, 64).0,
            Corrupt(&["size of [4294967296, 4294967296, 4] overflows", "`t`"]),
        ),
        (
            "product overflows to a small one",
            one_tensor(&[1 << 62, 4, 1, 2], F32, 0, 64).0,
            Corrupt(&["overflows"]),
        ),
        (
            "product passes i64",
            one_tensor(&[1 << 63], I8, 0, 64).0,
            Corrupt(&["overflows"]),
        ),
        (
            "bytes overflow",
            one_tensor(&[1 << 62], F32, 0, 64).0,
            Corrupt(&["overflows"]),
        ),
        (
            "no whole blocks",
            one_tensor(&[48, 2], Q8_0, 0, 102).0,
            Corrupt(&["48 elements", "Q8_0 blocks of 32", "`t`"]),
        ),
        (
            "type 4",
            one_tensor(&[32], 4, 0, 64).0,
            Unsupported(&["type 4 ", "`t`"]),
        ),
        (
            "type 9999",
            one_tensor(&[32], 9999, 0, 64).0,
            Unsupported(&["type 9999 ", "`t`"]),
        ),
        (
            "offset not aligned",
            one_tensor(&[16], F32, 16, 128).0,
            Corrupt(&["offset 16", "alignment 32", "`t`"]),
        ),
        (
            "offset past the end",
            one_tensor(&[16], F32, 1 << 20, 64).0,
            Corrupt(&["offset 1048576", "pass the end", "`t`"]),
        ),
        (
            "offset overflows",
            one_tensor(&[16], F32, u64::MAX - 31, 64).0,
            Corrupt(&["pass the end"]),
        ),
        (
            "one byte short",
            one_tensor(&[16], F32, 0, 63).0,
            Corrupt(&["64 bytes at data offset 0 pass the end of the file (127 bytes"]),
        ),
        (
            "overlap by a byte",
            Raw::new(2, 0)
                .tensor("a", &[33], I8, 0)
                .tensor("b", &[16], F32, 32)
                .data(96)
                .0,
            Corrupt(&["overlaps that of tensor `a`", "`b`"]),
        ),
        (
            "overlap",
            two(0, 32, 128),
            Corrupt(&["overlaps that of tensor `a`", "`b`"]),
        ),
        (
            "overlap backwards",
            two(32, 0, 128),
            Corrupt(&["overlaps that of tensor `b`", "`a`"]),
        ),
        ("same place", two(0, 0, 128), Corrupt(&["overlaps"])),
        (
            "name twice",
            Raw::new(2, 0)
                .tensor("t", &[16], F32, 0)
                .tensor("t", &[16], F32, 64)
                .data(128)
                .0,
            Corrupt(&["tensor is there twice", "`t`"]),
        ),
        (
            "empty name",
            Raw::new(1, 0).tensor("", &[16], F32, 0).data(64).0,
            Corrupt(&["name is empty", "tensor 0"]),
        ),
        (
            "long name",
            Raw::new(1, 0)
                .tensor(&"n".repeat(257), &[16], F32, 0)
                .data(64)
                .0,
            Corrupt(&["name claims 257 bytes", "at most 256"]),
        ),
        (
            "name not UTF-8",
            Raw::new(1, 0)
                .string(b"\xff")
                .u32(1)
                .u64(16)
                .u32(F32)
                .u64(0)
                .data(64)
                .0,
            Corrupt(&["the name is not valid UTF-8", "tensor 0"]),
        ),
    ]
}

#[test]
fn hostile_files_give_the_expected_error() {
    for (name, bytes, expected) in cases() {
        let len = bytes.len();
        let (result, peak) = peak_of(|| Gguf::from_bytes(bytes));
        let (text, fragments) = match (&result, expected) {
            (Err(e @ PocketError::CorruptModel { .. }), Corrupt(f)) => (e.to_string(), f),
            (Err(e @ PocketError::UnsupportedModel { .. }), Unsupported(f)) => (e.to_string(), f),
            _ => panic!("{name}: {result:?}"),
        };
        for fragment in fragments {
            assert!(
                text.contains(fragment),
                "{name}: {text:?} lacks {fragment:?}"
            );
        }
        assert!(text.len() < 500, "{name}: a message, not a dump: {text}");
        assert!(
            peak <= budget(len),
            "{name}: {peak} bytes for a file of {len}"
        );
    }
}

/// The bases of the cases above load when they are not broken, so that each case fails for its own
/// reason.
#[test]
fn the_unbroken_files_are_read() {
    let sound = [
        one_tensor(&[16], F32, 0, 64),
        one_tensor(&[32, 2], Q8_0, 32, 100),
        one_tensor(&[4, 2, 2, 1], F32, 0, 64),
        one_key(BOOL).bytes(&[1]),
        one_key(STRING).string("text"),
        one_key(ARRAY).array(BOOL, 2).bytes(&[1, 0]),
        one_key(ARRAY).array(STRING, 2).string("a").string("b"),
        nested_arrays(4),
        Raw::new(0, 1).key("general.alignment", U32).u32(64),
        Raw::version(2, 0, 0),
        Raw::new(0, 0),
    ];
    for (i, raw) in sound.into_iter().enumerate() {
        if let Err(e) = Gguf::from_bytes(raw.0) {
            panic!("file {i}: {e}");
        }
    }
}
