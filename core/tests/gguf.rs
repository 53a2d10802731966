//! Reading and writing GGUF: what is written is read back, and the typed access. Hostile and damaged
//! files, memory use, shards, the writer's refusals and real models are in the modules below.

mod damage;
mod hostile;
mod raw;
mod real;
mod refused;
mod shards;

use std::fs;

use pocketlm::PocketError;
use pocketlm::gguf::{Blob, Gguf, TensorType, Value, ValueType, WriteValue, Writer};

/// One value of every type, arrays of every type, and the corners of each.
fn values() -> Vec<(String, WriteValue)> {
    let mut out: Vec<(&str, WriteValue)> = vec![
        ("u8", 255u8.into()),
        ("i8", (-128i8).into()),
        ("u16", 65535u16.into()),
        ("i16", (-32768i16).into()),
        ("u32", u32::MAX.into()),
        ("i32", i32::MIN.into()),
        ("u64", u64::MAX.into()),
        ("i64", i64::MIN.into()),
        ("f32", 1.5e-42f32.into()),
        ("f64", f64::MAX.into()),
        ("true", true.into()),
        ("false", false.into()),
        ("string", "a ▁string\0 with 🦀".into()),
        ("empty string", "".into()),
        ("string array", vec!["", "one", "zwei ü"].into()),
        ("array array", vec![vec![1u8, 2], vec![], vec![3]].into()),
        ("string array array", vec![vec!["a", "b"], vec!["c"]].into()),
        ("deep array", vec![vec![vec![vec![7i64]]]].into()),
    ];
    for &ty in ValueType::ALL {
        out.push(("empty array of", WriteValue::Array(ty, Vec::new())));
    }
    let scalars: Vec<WriteValue> = out.iter().take(12).map(|(_, v)| v.clone()).collect();
    for scalar in scalars {
        let items = vec![scalar.clone(); 3];
        out.push(("array of", WriteValue::Array(scalar.value_type(), items)));
    }
    let named =
        |(i, (name, value)): (usize, (&str, WriteValue))| (format!("test.{i} {name}"), value);
    out.into_iter().enumerate().map(named).collect()
}

/// Bytes that differ between tensors and positions.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (seed * 31 + i * 7) as u8).collect()
}

/// A file with every value type and every tensor type.
fn everything() -> (Writer, Vec<(String, WriteValue)>) {
    let mut writer = Writer::new();
    let values = values();
    for (key, value) in &values {
        writer.metadata(key.clone(), value.clone());
    }
    for (i, &ty) in TensorType::ALL.iter().enumerate() {
        let shape = [ty.block_len() as u64, 3, 1, 2];
        let shape = &shape[..1 + i % 4];
        let rows: u64 = shape[1..].iter().product();
        let len = rows as usize * ty.block_bytes();
        writer.tensor(format!("blk.{i}.{}", ty.name()), shape, ty, pattern(i, len));
    }
    (writer, values)
}

fn check_everything(model: &Gguf, values: &[(String, WriteValue)]) {
    let read: Vec<(String, WriteValue)> = model
        .metadata()
        .iter()
        .filter(|(key, _)| key.starts_with("test."))
        .map(|(key, value)| (key.to_string(), WriteValue::from(value)))
        .collect();
    assert_eq!(read, values);
    for (key, value) in values {
        let found = model.metadata().get(key).expect("the key was written");
        assert_eq!(&WriteValue::from(found), value, "{key}");
        assert_eq!(found.value_type(), value.value_type(), "{key}");
    }
    assert_eq!(model.tensors().len(), TensorType::ALL.len());
    for (i, t) in model.tensors().iter().enumerate() {
        assert_eq!(t.ty, TensorType::ALL[i]);
        assert_eq!(model.tensor(&t.name), Some(t));
        assert_eq!(t.cols(), t.ty.block_len());
        assert_eq!(t.rows() as u64, t.shape[1..].iter().product::<u64>());
        assert_eq!(t.offset % model.alignment(), 0);
        let bytes = model.bytes(t);
        assert_eq!(bytes.len() as u64, t.byte_len);
        assert_eq!(bytes[..], pattern(i, bytes.len()), "{}", t.name);
    }
    assert_eq!(model.tensor("blk.0"), None);
    assert_eq!(model.metadata().get("absent"), None);
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.gguf");
    for alignment in [None, Some(8), Some(32), Some(4096), Some(1 << 20)] {
        let (mut writer, values) = everything();
        if let Some(bytes) = alignment {
            writer.alignment(bytes);
        }
        let bytes = writer.to_bytes().expect("the file is sound");
        writer.write_to(&path).expect("the folder can be written");
        assert_eq!(fs::read(&path).expect("it was written"), bytes);

        for model in [Gguf::open(&path), Gguf::from_bytes(bytes.clone())] {
            let model = model.expect("our own file");
            assert_eq!(model.version(), 3);
            assert_eq!(model.alignment(), u64::from(alignment.unwrap_or(32)));
            assert_eq!(model.file_len(), bytes.len() as u64);
            assert_eq!(model.split_count(), 1);
            check_everything(&model, &values);
        }
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("it exists").collect();
    assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
}

#[test]
fn version_2_is_read() {
    let (writer, values) = everything();
    let mut bytes = writer.to_bytes().expect("the file is sound");
    bytes[4] = 2;
    let model = Gguf::from_bytes(bytes).expect("version 2 has the same layout");
    assert_eq!(model.version(), 2);
    check_everything(&model, &values);
}

/// Written out by hand, so that reader and writer cannot share a mistake.
#[test]
fn a_small_file_has_the_bytes_of_the_specification() {
    let mut writer = Writer::new();
    writer
        .metadata("k", 7u32)
        .tensor("t", &[2, 1], TensorType::F16, vec![1, 2, 3, 4]);
    let mut expected = b"GGUF\x03\0\0\0".to_vec();
    expected.extend(1u64.to_le_bytes());
    expected.extend(1u64.to_le_bytes());
    expected.extend(b"\x01\0\0\0\0\0\0\0k\x04\0\0\0\x07\0\0\0");
    expected.extend(b"\x01\0\0\0\0\0\0\0t\x02\0\0\0");
    expected.extend(b"\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0");
    expected.resize(96, 0);
    expected.extend([1, 2, 3, 4]);
    expected.resize(128, 0);
    assert_eq!(writer.to_bytes().expect("the file is sound"), expected);
}

#[test]
fn a_file_without_tensors_is_read() {
    let bytes = Writer::new()
        .metadata("general.architecture", "llama")
        .to_bytes()
        .expect("the file is sound");
    let model = Gguf::from_bytes(bytes).expect("a vocabulary has no tensors");
    assert!(model.tensors().is_empty());
}

#[test]
fn blobs_outlive_the_model_and_share_its_bytes() {
    let (writer, _) = everything();
    let model = Gguf::from_bytes(writer.to_bytes().expect("sound")).expect("our own file");
    let info = model.tensors()[3].clone();
    let blob = model.bytes(&info);
    let again = model.bytes(&info);
    assert_eq!(blob.as_ptr(), again.as_ptr(), "views, not copies");
    drop(model);
    assert_eq!(blob[..], pattern(3, blob.len()));
    let part = blob.slice(2..5);
    assert_eq!(part[..], blob[2..5]);
    assert_eq!(part.as_ptr(), blob[2..].as_ptr());
    assert_eq!(blob.try_slice(0..blob.len() + 1), None);
    assert_eq!(Blob::from_vec(vec![1, 2])[..], [1, 2]);

    fn shared<T: Send + Sync + 'static>() {}
    shared::<Blob>();
    shared::<Gguf>();
}

#[test]
fn a_tensor_of_another_model_gives_no_bytes() {
    let (writer, _) = everything();
    let big = Gguf::from_bytes(writer.to_bytes().expect("sound")).expect("our own file");
    let small = Gguf::from_bytes(Writer::new().to_bytes().expect("sound")).expect("our own file");
    let last = big.tensors().last().expect("it has tensors");
    assert!(small.bytes(last).is_empty());
}

/// Getter by getter: what converts, and what the error says when it does not.
#[test]
fn typed_access_converts_integers_and_names_the_rest() {
    let mut writer = Writer::new();
    writer
        .metadata("small", 7u8)
        .metadata("negative", -7i64)
        .metadata("wide", 1u64 << 40)
        .metadata("float", 0.5f32)
        .metadata("double", 0.25f64)
        .metadata("truth", true)
        .metadata("text", "words")
        .metadata("texts", vec!["a", "b"])
        .metadata("integers", vec![1i64, 2])
        .metadata("negatives", vec![1i32, -2])
        .metadata("floats", vec![0.5f32, 1.0])
        .metadata("truths", vec![true, false]);
    let model = Gguf::from_bytes(writer.to_bytes().expect("sound")).expect("our own file");
    let m = model.metadata();

    assert_eq!(m.u32("small"), Ok(Some(7)));
    assert_eq!(m.usize("small"), Ok(Some(7)));
    assert_eq!(m.u64("wide"), Ok(Some(1 << 40)));
    assert_eq!(m.f32("float"), Ok(Some(0.5)));
    assert_eq!(m.f32("double"), Ok(Some(0.25)));
    assert_eq!(m.bool("truth"), Ok(Some(true)));
    assert_eq!(m.str("text"), Ok(Some("words")));
    assert_eq!(m.i32s("negatives"), Ok(Some(vec![1, -2])));
    assert_eq!(m.u32s("integers"), Ok(Some(vec![1, 2])));
    assert_eq!(m.f32s("floats"), Ok(Some(vec![0.5, 1.0])));
    assert_eq!(m.bools("truths"), Ok(Some(vec![true, false])));
    let texts = m.require_strings("texts").expect("strings");
    assert_eq!(texts.len(), 2);
    assert_eq!(texts.iter().len(), 2);
    assert_eq!(texts.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(m.u32("absent"), Ok(None));
    assert!(matches!(m.get("text"), Some(Value::Str(t)) if t.as_str() == "words"));

    let errors = [
        (m.u32("negative").err(), "`negative`", "u32, found i64 -7"),
        (
            m.u32("wide").err(),
            "`wide`",
            "expected u32, found u64 1099511627776",
        ),
        (m.u32("float").err(), "`float`", "expected u32, found f32"),
        (m.u32("truth").err(), "`truth`", "expected u32, found bool"),
        (m.u32("integers").err(), "`integers`", "found array of i64"),
        (m.f32("small").err(), "`small`", "expected f32, found u8 7"),
        (
            m.bool("small").err(),
            "`small`",
            "expected bool, found u8 7",
        ),
        (m.str("small").err(), "`small`", "expected string, found u8"),
        (
            m.strings("text").err(),
            "`text`",
            "array of string, found string",
        ),
        (m.strings("floats").err(), "`floats`", "found array of f32"),
        (
            m.u32s("negatives").err(),
            "`negatives`",
            "expected array of u32",
        ),
        (
            m.f32s("integers").err(),
            "`integers`",
            "expected array of f32",
        ),
        (
            m.bools("integers").err(),
            "`integers`",
            "expected array of bool",
        ),
        (m.require_u32("absent").err(), "`absent`", "missing key"),
        (m.require_str("absent").err(), "`absent`", "missing key"),
        (m.require_strings("absent").err(), "`absent`", "missing key"),
        (m.require_u32("truth").err(), "`truth`", "found bool"),
    ];
    for (error, key, fragment) in errors {
        let Some(PocketError::CorruptModel { what, location }) = error else {
            panic!("{key} {fragment}: {error:?}");
        };
        assert!(what.contains(fragment), "{what:?} lacks {fragment:?}");
        assert!(location.contains(key), "{location:?} lacks {key:?}");
        assert!(
            what.contains("missing") || location.contains("byte "),
            "{location}"
        );
    }
}

#[test]
fn what_cannot_be_opened_is_not_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in [
        folder.path().join("absent.gguf"),
        folder.path().to_path_buf(),
    ] {
        match Gguf::open(&path) {
            Err(PocketError::ModelNotFound {
                path: named,
                reason,
            }) => {
                assert_eq!(named, path);
                assert!(!reason.is_empty());
            }
            other => panic!("{}: {other:?}", path.display()),
        }
    }
}
