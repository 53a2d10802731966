//! Damage anywhere in a file: a typed error or a sound model, never a panic, and no more memory
//! than the file's length plus 16 MiB.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pocketlm::PocketError;
use pocketlm::gguf::{Gguf, TensorType, Value, Writer};

use super::raw::{F32, Raw, U8};

thread_local! {
    static CURRENT: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread holds; tests run side by side in threads.
struct Counting;

fn count(change: isize) {
    // A thread that is ending has no counters any more, and nothing to measure.
    let _ = CURRENT.try_with(|current| {
        let now = current.get() + change;
        current.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches only
// thread-local cells, which neither allocate nor unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new block may exist together.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `realloc`, and the block came from `System`.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `f` and gives the most bytes that this thread held beyond what it held before.
pub fn peak_of<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = CURRENT.get();
    PEAK.set(before);
    let out = f();
    (out, (PEAK.get() - before).max(0) as usize)
}

/// What opening a file of `len` bytes may allocate.
pub fn budget(len: usize) -> usize {
    len + (16 << 20)
}

/// Touches everything that can be reached, which must not panic, and checks what was promised.
pub fn walk(model: &Gguf) {
    fn value(v: &Value) {
        match v {
            Value::Str(text) => assert!(text.as_str().len() == text.as_bytes().len()),
            Value::Array(array) => {
                assert_eq!(array.iter().map(|v| value(&v)).count(), array.len());
                if let Some(strings) = array.strings() {
                    assert_eq!(strings.iter().count(), strings.len());
                }
            }
            _ => {}
        }
    }
    for (key, v) in model.metadata().iter() {
        let found = model.metadata().get(key);
        assert!(found.is_some_and(|found| std::ptr::eq(found, v)), "{key}");
        value(v);
    }
    for t in model.tensors() {
        assert_eq!(
            model.tensor(&t.name).map(|found| found.offset),
            Some(t.offset)
        );
        assert_eq!(model.bytes(t).len() as u64, t.byte_len);
        assert_eq!(t.ty.byte_len(t.elements()), Some(t.byte_len));
        assert_eq!(t.cols() as u64 * t.rows() as u64, t.elements());
    }
}

/// A small model with the things that have lengths, and where its data starts.
fn small() -> (Vec<u8>, usize) {
    let mut writer = Writer::new();
    writer
        .metadata("general.architecture", "llama")
        .metadata("general.alignment", 64u32)
        .metadata("llama.block_count", 2u32)
        .metadata("llama.rope.freq_base", 10000.0f32)
        .metadata("tokenizer.ggml.tokens", vec!["<s>", "▁a", ""])
        .metadata("tokenizer.ggml.scores", vec![0.0f32, -1.0, -2.0])
        .metadata("flags", vec![true, false])
        .metadata("nested", vec![vec!["x"], vec![]])
        .tensor(
            "token_embd.weight",
            &[32, 3],
            TensorType::Q8_0,
            vec![1; 102],
        )
        .tensor("output_norm.weight", &[4], TensorType::F32, vec![2; 16]);
    let bytes = writer.to_bytes().expect("the file is sound");
    let model = Gguf::from_bytes(bytes.clone()).expect("our own file");
    let data = model.tensors()[0].offset as usize;
    (bytes, data)
}

/// Opens damaged bytes; a panic fails the test by itself.
fn open(bytes: Vec<u8>, damage: &str) -> Option<Gguf> {
    let len = bytes.len();
    let (result, peak) = peak_of(|| Gguf::from_bytes(bytes));
    assert!(
        peak <= budget(len),
        "{damage}: {peak} bytes for a file of {len}"
    );
    match result {
        Ok(model) => {
            walk(&model);
            Some(model)
        }
        Err(PocketError::CorruptModel { what, location }) => {
            assert!(!what.is_empty() && !location.is_empty(), "{damage}");
            None
        }
        Err(PocketError::UnsupportedModel { what }) => {
            assert!(!what.is_empty(), "{damage}");
            None
        }
        Err(other) => panic!("{damage}: {other}"),
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let (bytes, _) = small();
    let model = Gguf::from_bytes(bytes.clone()).expect("our own file");
    let end = model.tensors().iter().map(|t| t.offset + t.byte_len).max();
    let end = end.expect("it has tensors") as usize;
    for len in 0..bytes.len() {
        let read = open(bytes[..len].to_vec(), &format!("cut at {len}")).is_some();
        // Only the padding behind the last tensor may be missing.
        assert_eq!(read, len >= end, "cut at {len}");
    }
}

#[test]
fn any_flipped_bit_of_the_header_is_an_error_or_a_sound_model() {
    let (bytes, data) = small();
    let mut sound = 0;
    for bit in 0..8 * data {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        sound += usize::from(open(damaged, &format!("bit {bit}")).is_some());
    }
    // Letters and numbers may change; counts, lengths and types may not all go unnoticed.
    assert!(sound > 0 && sound < 8 * data, "{sound} of {}", 8 * data);
}

#[test]
fn any_overwritten_field_of_the_header_is_an_error_or_a_sound_model() {
    let (bytes, data) = small();
    let patterns: [u64; 8] = [
        0,
        1,
        u64::MAX,
        i64::MAX as u64,
        1 << 63,
        u32::MAX as u64,
        1 << 31,
        0x0001_0000_0001_0000,
    ];
    for at in 0..data {
        for pattern in patterns {
            for width in [2, 4, 8] {
                let mut damaged = bytes.clone();
                let field = &mut damaged[at..(at + width).min(data)];
                field.copy_from_slice(&pattern.to_le_bytes()[..field.len()]);
                open(damaged, &format!("{pattern:x} over {width} bytes at {at}"));
            }
        }
    }
}

/// The most metadata and tensors that are read, in the fewest bytes: the worst ratio of memory to
/// file there is.
#[test]
fn the_largest_directory_stays_within_the_memory_bound() {
    let count = 1u64 << 16;
    let name = |i: u64| format!("{i:04x}");
    let mut raw = Raw::new(count, count);
    for i in 0..count {
        raw = raw.key(&name(i), U8).bytes(&[0]);
    }
    for i in 0..count {
        raw = raw.tensor(&name(i), &[1, 1, 1, 1], F32, 32 * i);
    }
    let bytes = raw.data(32 * count as usize).0;
    let len = bytes.len();
    let (model, peak) = peak_of(|| Gguf::from_bytes(bytes));
    let model = model.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(model.tensors().len() as u64, count);
    assert_eq!(model.metadata().len() as u64, count);
    // The file's own bytes, which were there before, do not count; its data must not help.
    let header = len - 32 * count as usize;
    assert!(
        peak <= budget(header),
        "{peak} bytes for a directory of {header}"
    );
    assert!(peak > 1 << 20, "the counter counts: {peak}");
}
