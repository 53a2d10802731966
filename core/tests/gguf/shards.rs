//! Models in several files.

use std::fs;
use std::path::{Path, PathBuf};

use pocketlm::PocketError;
use pocketlm::gguf::{Gguf, TensorType, Writer};

/// The shards of a model with two tensors in each, before they are written.
fn shards(count: u16) -> Vec<Writer> {
    let shard = |no: u16| {
        let mut writer = Writer::new();
        if no == 0 {
            writer.metadata("general.architecture", "llama");
        }
        writer
            .metadata("split.no", no)
            .metadata("split.count", count)
            .metadata("split.tensors.count", i32::from(2 * count));
        for half in 0..2 {
            let fill = vec![(2 * no + half) as u8; 16];
            writer.tensor(format!("blk.{no}.{half}"), &[4], TensorType::F32, fill);
        }
        writer
    };
    (0..count).map(shard).collect()
}

fn path(folder: &Path, no: usize, count: usize) -> PathBuf {
    folder.join(format!("my-model-of-00001-{no:05}-of-{count:05}.gguf"))
}

/// Writes the shards into a fresh folder.
fn write(writers: &[Writer]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (i, writer) in writers.iter().enumerate() {
        let path = path(folder.path(), i + 1, writers.len());
        writer.write_to(&path).expect("the folder can be written");
    }
    folder
}

#[test]
fn any_shard_opens_the_whole_model() {
    let folder = write(&shards(3));
    for no in 1..=3 {
        let model = Gguf::open(&path(folder.path(), no, 3)).unwrap_or_else(|e| panic!("{no}: {e}"));
        assert_eq!(model.split_count(), 3);
        assert_eq!(
            model.metadata().str("general.architecture"),
            Ok(Some("llama"))
        );
        let names: Vec<_> = model.tensors().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "blk.0.0", "blk.0.1", "blk.1.0", "blk.1.1", "blk.2.0", "blk.2.1"
            ]
        );
        for (i, t) in model.tensors().iter().enumerate() {
            assert_eq!(t.split, i / 2);
            assert_eq!(model.bytes(t)[..], [i as u8; 16], "{}", t.name);
            assert_eq!(model.tensor(&t.name), Some(t));
        }
        let files = fs::read_dir(folder.path()).expect("it exists").flatten();
        let bytes: u64 = files.map(|f| f.metadata().expect("a file").len()).sum();
        assert_eq!(model.file_len(), bytes);
    }
}

#[test]
fn a_single_shard_may_have_any_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.gguf");
    shards(1)[0]
        .write_to(&path)
        .expect("the folder can be written");
    assert_eq!(Gguf::open(&path).expect("one file").tensors().len(), 2);
}

#[test]
fn a_missing_or_renamed_shard_is_named() {
    let folder = write(&shards(3));
    let missing = path(folder.path(), 3, 3);
    fs::remove_file(&missing).expect("it was written");
    match Gguf::open(&path(folder.path(), 1, 3)) {
        Err(PocketError::ModelNotFound { path, reason }) => {
            assert_eq!(path, missing);
            assert!(reason.contains("shard 3 of 3"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    for name in [
        "renamed.gguf",
        "my-model-00002-of-00004.gguf",
        "my-model-00001-of-00003.gguf",
    ] {
        let renamed = folder.path().join(name);
        fs::copy(path(folder.path(), 2, 3), &renamed).expect("the folder can be written");
        match Gguf::open(&renamed) {
            Err(PocketError::ModelNotFound { path, reason }) => {
                assert_eq!(path, renamed);
                assert!(reason.contains("shard 2 of 3"), "{reason}");
                assert!(reason.contains("-00002-of-00003.gguf"), "{reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn shards_that_disagree_are_corrupt() {
    // What replaces the second of three shards, or what is added to it, and what the error says.
    type Change = fn(&mut Vec<Writer>);
    let cases: [(Change, &[&str]); 5] = [
        (
            |s| s[1] = s[2].clone(),
            &["found 2, expected 1", "`split.no`", "shard 2 of 3"],
        ),
        (
            |s| s[1] = shards(4)[1].clone(),
            &["found 4, expected 3", "`split.count`"],
        ),
        (
            |s| s[1] = Writer::new(),
            &["missing key", "`split.no`", "shard 2 of 3"],
        ),
        (
            |s| {
                s[1].tensor("blk.9.0", &[4], TensorType::F32, vec![0; 16]);
            },
            &["the shards hold 7 tensors, 6 are claimed"],
        ),
        (
            |s| {
                s[1] = Writer::new();
                s[1].metadata("split.no", 1u16)
                    .metadata("split.count", 3u16);
                for name in ["blk.1.0", "blk.2.1"] {
                    s[1].tensor(name, &[4], TensorType::F32, vec![0; 16]);
                }
            },
            &["tensor is there twice", "`blk.2.1`"],
        ),
    ];
    for (change, fragments) in cases {
        let mut writers = shards(3);
        change(&mut writers);
        let folder = write(&writers);
        let Err(PocketError::CorruptModel { what, location }) =
            Gguf::open(&path(folder.path(), 1, 3))
        else {
            panic!("{fragments:?}: it was read");
        };
        let text = format!("{what}, at {location}");
        for fragment in fragments {
            assert!(text.contains(fragment), "{text:?} lacks {fragment:?}");
        }
    }
}

#[test]
fn a_shard_in_memory_is_refused() {
    let bytes = shards(2)[0].to_bytes().expect("the file is sound");
    match Gguf::from_bytes(bytes) {
        Err(PocketError::UnsupportedModel { what }) => {
            assert!(what.contains("split in 2"), "{what}")
        }
        other => panic!("{other:?}"),
    }
}
