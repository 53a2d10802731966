//! What the writer refuses.

use std::fs;
use std::path::Path;

use pocketlm::PocketError;
use pocketlm::gguf::{TensorType, ValueType, WriteValue, Writer};

#[test]
fn the_writer_refuses_what_could_not_be_read() {
    let f32s = |n: usize| vec![0u8; 4 * n];
    type Fill<'a> = &'a dyn Fn(&mut Writer);
    let cases: &[(Fill, &str, &str)] = &[
        (
            &|w| {
                w.metadata("", 1u8);
            },
            "metadata key ``",
            "1 to 65535 bytes",
        ),
        (
            &|w| {
                w.metadata("k".repeat(65536), 1u8);
            },
            "metadata key",
            "this has 65536",
        ),
        (
            &|w| {
                w.metadata("k", 1u8).metadata("k", 2u8);
            },
            "`k`",
            "added twice",
        ),
        (
            &|w| {
                w.metadata("k", WriteValue::Array(ValueType::U8, vec![1u16.into()]));
            },
            "`k`",
            "array of u8 has an element of type u16",
        ),
        (
            &|w| {
                w.alignment(33);
            },
            "`general.alignment`",
            "power of two",
        ),
        (
            &|w| {
                w.alignment(4);
            },
            "`general.alignment`",
            "power of two",
        ),
        (
            &|w| {
                w.metadata("general.alignment", "32");
            },
            "`general.alignment`",
            "integer",
        ),
        (
            &|w| {
                w.tensor("", &[1], TensorType::F32, f32s(1));
            },
            "tensor ``",
            "1 to 256",
        ),
        (
            &|w| {
                w.tensor("t", &[], TensorType::F32, f32s(1));
            },
            "tensor `t`",
            "1 to 4 dim",
        ),
        (
            &|w| {
                w.tensor("t", &[1; 5], TensorType::F32, f32s(1));
            },
            "`t`",
            "1 to 4 dim",
        ),
        (
            &|w| {
                w.tensor("t", &[0], TensorType::F32, f32s(0));
            },
            "`t`",
            "at least 1",
        ),
        (
            &|w| {
                w.tensor("t", &[2], TensorType::F32, f32s(1));
            },
            "`t`",
            "4 bytes given",
        ),
        (
            &|w| {
                w.tensor("t", &[2], TensorType::F32, f32s(1));
            },
            "`t`",
            "of F32 has 8",
        ),
        (
            &|w| {
                w.tensor("t", &[33], TensorType::Q8_0, f32s(9));
            },
            "`t`",
            "Q8_0 blocks of 32",
        ),
        (
            &|w| {
                w.tensor("t", &[1 << 32; 3], TensorType::F32, f32s(1));
            },
            "`t`",
            "overflows",
        ),
        (
            &|w| {
                w.tensor("t", &[1 << 62], TensorType::F32, f32s(1));
            },
            "`t`",
            "overflows",
        ),
        (
            &|w| {
                w.tensor("t", &[1], TensorType::F32, f32s(1));
                w.tensor("t", &[1], TensorType::F32, f32s(1));
            },
            "tensor `t`",
            "added twice",
        ),
    ];
    for (fill, argument, fragment) in cases {
        let mut writer = Writer::new();
        fill(&mut writer);
        match writer.to_bytes() {
            Err(PocketError::InvalidArgument { name, reason }) => {
                assert!(name.contains(argument), "{name:?} lacks {argument:?}");
                assert!(reason.contains(fragment), "{reason:?} lacks {fragment:?}");
            }
            other => panic!("{argument} {fragment}: {other:?}"),
        }
    }
}

#[test]
fn a_failed_write_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let blocked = folder.path().join("taken");
    fs::create_dir(&blocked).expect("the folder can be written");
    fs::write(blocked.join("file"), "x").expect("the folder can be written");
    for path in [
        blocked.as_path(),
        &folder.path().join("absent/model.gguf"),
        Path::new("/"),
    ] {
        match Writer::new().write_to(path) {
            Err(PocketError::InvalidArgument { name, .. }) => assert_eq!(name, "path"),
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    let left = fs::read_dir(folder.path()).expect("it exists").count();
    assert_eq!(left, 1, "only the blocking folder stays");
}
