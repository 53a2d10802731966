//! Files that name an architecture but do not hold it: a typed error that names what is wrong.

use pocketlm::PocketError;
use pocketlm::gguf::WriteValue;

use super::builder::{Nano, NanoTensor};
use super::*;

fn nano(recipe: &Recipe) -> Nano {
    recipe.build(Weights::All(TensorType::Q8_0))
}

fn load_error(nano: &Nano, what: &str) -> PocketError {
    match load(nano.to_bytes(), &cpu()) {
        Ok(_) => panic!("{what}: loads"),
        Err(error) => error,
    }
}

/// Asserts that a model is refused as corrupt, at the tensor `name`.
fn assert_corrupt(nano: &Nano, name: &str, what: &str) {
    let error = load_error(nano, what);
    assert!(
        matches!(&error, PocketError::CorruptModel { location, .. } if location == name),
        "{what}: {error}"
    );
}

/// Whether the model without the tensor is a complete other model.
fn is_optional(recipe: &Recipe, tensor: &str) -> bool {
    tensor == "output.weight" // the embedding table serves
        || tensor == "rope_freqs.weight" // Llama 2 has none
        || recipe.architecture == "llama" && tensor.ends_with(".bias")
}

#[test]
fn every_missing_tensor_is_named() {
    for recipe in RECIPES {
        let whole = nano(recipe);
        for NanoTensor { name, .. } in &whole.tensors {
            let mut without = whole.clone();
            without.drop_tensor(name);
            let what = format!("{} without {name}", recipe.name);
            if is_optional(recipe, name) {
                load(without.to_bytes(), &cpu()).expect(&what);
            } else {
                assert_corrupt(&without, name, &what);
            }
        }
    }
}

/// Other shapes for a tensor, some of the same size.
fn misshapen(tensor: &NanoTensor) -> Vec<NanoTensor> {
    let with = |shape: Vec<u64>, bytes: usize| NanoTensor {
        shape,
        bytes: tensor.bytes[..bytes].to_vec(),
        ..tensor.clone()
    };
    let len = tensor.bytes.len();
    match tensor.shape[..] {
        [cols, rows] => {
            let mut out = vec![
                with(vec![cols / 2, rows * 2], len),
                with(vec![cols, rows / 2, 2], len),
                with(vec![cols * rows], len),
            ];
            // The rows of the embedding table are the vocabulary.
            if tensor.name != "token_embd.weight" {
                let row = len / rows as usize;
                out.push(with(vec![cols, rows - 1], len - row));
            }
            out
        }
        [elements] => vec![
            with(vec![elements - 1], len - 4),
            with(vec![elements / 2, 2], len),
        ],
        _ => panic!("{:?}", tensor.shape),
    }
}

#[test]
fn every_misshapen_tensor_is_named() {
    for recipe in RECIPES {
        let whole = nano(recipe);
        for (i, tensor) in whole.tensors.iter().enumerate() {
            for other in misshapen(tensor) {
                let what = format!("{}, {} as {:?}", recipe.name, other.name, other.shape);
                let mut changed = whole.clone();
                changed.tensors[i] = other;
                assert_corrupt(&changed, &tensor.name, &what);
            }
        }
    }
}

#[test]
fn a_vocabulary_of_another_size_than_the_head_is_refused() {
    let mut changed = nano(recipe("llama"));
    let table = &mut changed.tensors[0];
    assert_eq!(table.name, "token_embd.weight");
    let row = table.bytes.len() / builder::VOCAB;
    table.bytes.truncate(row * (builder::VOCAB - 1));
    table.shape[1] -= 1;
    assert_corrupt(&changed, "output.weight", "a shorter table");
}

/// A tensor that a page does not know would be left out of the computation.
#[test]
fn a_tensor_too_many_is_named() {
    for architecture in model::ARCHITECTURES {
        let name = architecture.names[0];
        let whole = nano(recipe(name));
        let extra = |name: &str| {
            let mut changed = whole.clone();
            let mut tensor = changed.tensors[1].clone();
            tensor.name = name.into();
            changed.tensors.push(tensor);
            changed
        };
        for tensor in [
            "blk.0.ffn_gate.bias",
            "blk.1.attn_sinks.weight",
            "blk.99.attn_norm.weight",
        ] {
            let error = load_error(&extra(tensor), tensor);
            assert!(
                matches!(&error, PocketError::UnsupportedModel { what }
                    if what.contains(tensor) && what.contains(name)),
                "{error}"
            );
        }
        for tensor in ["v.blk.0.ln1.weight", "mm.input_projection.weight"] {
            load(extra(tensor).to_bytes(), &cpu()).expect(tensor);
        }
    }
}

#[test]
fn every_missing_key_is_named() {
    let keys = [
        "context_length",
        "embedding_length",
        "block_count",
        "feed_forward_length",
        "attention.head_count",
        "attention.layer_norm_rms_epsilon",
    ];
    for architecture in model::ARCHITECTURES {
        let name = architecture.names[0];
        let keys = keys.iter().map(|key| format!("{name}.{key}"));
        for key in keys.chain(["general.architecture".into()]) {
            let mut without = nano(recipe(name));
            without.remove(&key);
            let error = load_error(&without, &key);
            assert!(matches!(error, PocketError::CorruptModel { .. }), "{error}");
            assert!(error.to_string().contains(&key), "{error}");
        }
    }
}

/// Keys below `llama.` with values that no model has, and words that the error has beside the key
/// or instead of it.
fn bad_values() -> Vec<(&'static str, WriteValue, &'static str)> {
    vec![
        ("embedding_length", 0u32.into(), "0"),
        ("embedding_length", u64::MAX.into(), "18446744073709551615"),
        ("embedding_length", (1u32 << 30).into(), "1073741824"),
        ("embedding_length", "256".into(), "string"),
        ("embedding_length", 256.0f32.into(), "f32"),
        ("embedding_length", (-256i32).into(), "-256"),
        ("block_count", 0u32.into(), "0"),
        ("block_count", u32::MAX.into(), "4294967295"),
        ("context_length", 0u32.into(), "0"),
        ("feed_forward_length", 0u32.into(), "0"),
        (
            "feed_forward_length",
            vec![256u32].into(),
            "1 entries for 2 layers",
        ),
        ("feed_forward_length", vec![256u32, 0].into(), "0"),
        ("feed_forward_length", vec!["256", "256"].into(), "string"),
        ("attention.head_count", 0u32.into(), "0"),
        ("attention.head_count", 7u32.into(), "7 query heads"),
        ("attention.head_count", 6u32.into(), "do not divide"),
        ("attention.head_count", 256u32.into(), "a head of 1 "),
        ("attention.head_count", 512u32.into(), "do not divide"),
        (
            "attention.head_count",
            vec![8u32, 8, 8].into(),
            "3 entries for 2 layers",
        ),
        (
            "attention.head_count",
            vec![8u32, 4].into(),
            "differ in size",
        ),
        ("attention.head_count_kv", 0u32.into(), "0"),
        ("attention.head_count_kv", 3u32.into(), "3 key/value heads"),
        (
            "attention.head_count_kv",
            16u32.into(),
            "16 key/value heads",
        ),
        (
            "attention.head_count_kv",
            vec![2u32].into(),
            "1 entries for 2 layers",
        ),
        ("attention.key_length", 31u32.into(), "a head of 31 "),
        ("attention.key_length", 2048u32.into(), "a head of 2048 "),
        ("attention.layer_norm_rms_epsilon", f32::NAN.into(), "NaN"),
        (
            "attention.layer_norm_rms_epsilon",
            f32::INFINITY.into(),
            "inf",
        ),
        ("rope.dimension_count", 31u32.into(), "31 of 32"),
        ("rope.dimension_count", 64u32.into(), "64 of 32"),
        ("rope.freq_base", 0.0f32.into(), "0"),
        ("rope.freq_base", (-1e4f32).into(), "-10000"),
        ("rope.freq_base", f32::NAN.into(), "NaN"),
        ("rope.scaling.type", "dynamic".into(), "dynamic"),
        ("rope.scaling.type", 1u32.into(), "u32"),
        ("rope.scaling.factor", (-4.0f32).into(), "-4"),
        ("rope.scaling.factor", f32::NAN.into(), "NaN"),
        ("expert_count", 8u32.into(), "8 experts"),
    ]
}

#[test]
fn every_bad_value_is_named() {
    let whole = nano(recipe("llama"));
    for (key, value, words) in bad_values() {
        let full_key = format!("llama.{key}");
        let what = format!("{full_key} = {value:?}");
        let mut changed = whole.clone();
        changed.set(&full_key, value);
        let error = load_error(&changed, &what);
        let text = error.to_string();
        assert!(text.contains(words), "{what}: {text}");
        match error {
            // The number of heads is checked together with that of key/value heads.
            PocketError::CorruptModel { .. } => {
                let heads = key.starts_with("attention.") && text.contains("attention.head_count");
                assert!(text.contains(&full_key) || heads, "{what}: {text}");
            }
            PocketError::UnsupportedModel { .. } => {}
            other => panic!("{what}: {other}"),
        }
    }
}

/// Combinations of keys that no page reads as one model.
#[test]
fn contradictions_are_refused() {
    let set = |name: &str, keys: &[(&str, WriteValue)]| {
        let mut changed = nano(recipe(name));
        for (key, value) in keys {
            changed.set(key, value.clone());
        }
        load_error(&changed, name)
    };
    let unequal_heads = [
        ("qwen3.attention.key_length", 128u32.into()),
        ("qwen3.attention.value_length", 64u32.into()),
    ];
    let two_extensions = [
        ("llama.rope.scaling.type", "yarn".into()),
        ("llama.rope.scaling.factor", 4.0f32.into()),
    ];
    let short_pattern = [("gemma2.attention.sliding_window_pattern", vec![true].into())];
    for (name, keys, words) in [
        ("qwen3", &unequal_heads[..], "keys of 128 and values of 64"),
        ("llama-rope-freqs", &two_extensions, "YaRN"),
        ("gemma2", &short_pattern, "1 entries for 2 layers"),
    ] {
        let error = set(name, keys);
        assert!(error.to_string().contains(words), "{name}: {error}");
    }

    // A layer too many is a missing tensor; one too few, tensors that nothing reads.
    let mut deeper = nano(recipe("llama"));
    deeper.set("llama.block_count", 3u32);
    assert_corrupt(&deeper, "blk.2.attn_norm.weight", "three layers");
    let error = set("llama", &[("llama.block_count", 1u32.into())]);
    assert!(error.to_string().contains("tensor blk.1."), "{error}");
}

#[test]
fn unknown_architectures_and_formats_are_named() {
    let mut changed = nano(recipe("llama"));
    changed.set("general.architecture", "gpt5");
    let error = load_error(&changed, "gpt5");
    assert!(matches!(error, PocketError::UnsupportedModel { .. }));
    let text = error.to_string();
    assert!(text.contains("\"gpt5\""), "{text}");
    for architecture in model::ARCHITECTURES {
        assert!(text.contains(architecture.names[0]), "{text}");
    }

    let mut changed = nano(recipe("llama"));
    let ty = TensorType::TQ2_0;
    let tensor = &mut changed.tensors[0];
    let elements = tensor.shape.iter().product::<u64>() as usize;
    tensor.ty = ty;
    tensor.bytes = vec![0; elements / ty.block_len() * ty.block_bytes()];
    let error = load_error(&changed, "TQ2_0");
    assert!(
        matches!(&error, PocketError::UnsupportedModel { what } if what.contains("TQ2_0")),
        "{error}"
    );
}

/// Sizes may be given layer by layer.
#[test]
fn arrays_of_equal_sizes_are_the_same_model() {
    let compute = reference();
    let ids = ids(8);
    let logits = |nano: &Nano| {
        let decoder = load(nano.to_bytes(), &compute).expect("loads");
        run(
            &decoder,
            &compute,
            &ids,
            &mut empty_cache(&decoder, &compute),
        )
    };
    let single = nano(recipe("llama"));
    let mut arrays = single.clone();
    arrays
        .set("llama.feed_forward_length", vec![256u32, 256])
        .set("llama.attention.head_count", vec![8i32, 8])
        .set("llama.attention.head_count_kv", vec![2u64, 2]);
    assert_eq!(logits(&arrays), logits(&single));

    let period = nano(recipe("gemma3-pattern"));
    let mut flags = period.clone();
    flags.set(
        "gemma3.attention.sliding_window_pattern",
        vec![true, false, true],
    );
    assert_eq!(logits(&flags), logits(&period));
}
