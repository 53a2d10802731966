//! What a loaded model refuses, that a refusal changes nothing, and what the context decides.

use pocketlm::PocketError;

use super::*;

/// Every plain model on every path.
fn each_model(context: usize, check: impl Fn(&str, &Decoder, &Compute)) {
    for compute in [reference(), cpu()] {
        for architecture in model::ARCHITECTURES {
            let name = architecture.names[0];
            let gguf = Gguf::from_bytes(builder::model(name, TensorType::Q8_0)).expect("opens");
            let decoder = model::load(&gguf, &compute, Some(context)).expect("loads");
            check(&format!("{name}, {}", compute.name()), &decoder, &compute);
        }
    }
}

fn forward_error(
    decoder: &Decoder,
    compute: &Compute,
    ids: &[u32],
    cache: &mut KvCache,
    outputs: usize,
) -> PocketError {
    match decoder.forward(compute, ids, cache, outputs) {
        Ok(_) => panic!("{} ids from {} ran", ids.len(), cache.len()),
        Err(error) => error,
    }
}

#[test]
fn a_refused_batch_leaves_the_cache_as_it_was() {
    let ids = ids(16);
    each_model(16, |name, decoder, compute| {
        let expected = run(decoder, compute, &ids, &mut empty_cache(decoder, compute));
        let mut cache = empty_cache(decoder, compute);
        let mut found = run(decoder, compute, &ids[..10], &mut cache);
        for bad in [builder::VOCAB as u32, u32::MAX] {
            let batch = [ids[10], bad];
            let error = forward_error(decoder, compute, &batch, &mut cache, 1);
            assert!(
                matches!(&error, PocketError::InvalidArgument { name, reason }
                    if name == "token id" && reason.contains(&bad.to_string())),
                "{name}: {error}"
            );
        }
        for (batch, outputs) in [(&ids[..0], 0), (&ids[..0], 1), (&ids[10..12], 3)] {
            let error = forward_error(decoder, compute, batch, &mut cache, outputs);
            assert!(
                matches!(&error, PocketError::InvalidArgument { name, .. } if name == "outputs"),
                "{name}: {error}"
            );
        }
        let too_many = [ids[10]; 7];
        let error = forward_error(decoder, compute, &too_many, &mut cache, 1);
        let exceeded = |tokens| PocketError::ContextExceeded { size: 16, tokens };
        assert_eq!(error, exceeded(17), "{name}");

        assert_eq!(cache.tokens(), &ids[..10], "{name}");
        found.extend(run(decoder, compute, &ids[10..], &mut cache));
        assert_eq!(found, expected, "{name}");

        let error = forward_error(decoder, compute, &ids[..1], &mut cache, 0);
        assert_eq!(error, exceeded(17), "{name}");
        cache.truncate(15);
        run(decoder, compute, &ids[..1], &mut cache);
    });
}

#[test]
fn caches_hold_what_the_model_says() {
    each_model(100, |name, decoder, compute| {
        let recipe = recipe(name.split(',').next().expect("a name"));
        let elements = 2 * recipe.layers * recipe.kv_heads * recipe.head_dim;
        let bytes = if compute.name() == "cpu" { 2 } else { 4 };
        assert_eq!(
            decoder.kv_bytes_per_position(bytes),
            elements * bytes,
            "{name}"
        );
        let mut cache = empty_cache(decoder, compute);
        assert_eq!((cache.bytes(), cache.capacity()), (0, 100), "{name}");
        for (ids, held) in [(ids(1), 64), (ids(64), 128)] {
            run(decoder, compute, &ids, &mut cache);
            assert_eq!(cache.bytes(), held * elements * bytes, "{name}");
        }
    });
}

/// The long divisors serve contexts longer than the original one, the short ones all others.
#[test]
fn phi3_chooses_its_divisors_by_context() {
    let compute = reference();
    let ids = ids(40);
    let logits = |name: &str, context: usize| {
        let bytes = recipe(name)
            .build(Weights::All(TensorType::Q8_0))
            .to_bytes();
        let gguf = Gguf::from_bytes(bytes).expect("opens");
        let decoder = model::load(&gguf, &compute, Some(context)).expect("loads");
        run(
            &decoder,
            &compute,
            &ids,
            &mut empty_cache(&decoder, &compute),
        )
    };
    // The two recipes differ in their original context (64 and 256) alone.
    let (long, short) = (logits("phi3", 256), logits("phi3-short", 256));
    assert_ne!(long, short);
    assert_eq!(logits("phi3", 64), short);
    assert_eq!(logits("phi3", 65), long);
}

/// llama.cpp does not implement the window of Phi 3, so there is no golden file for it. In a model
/// of one layer the result for a token follows from the tokens in its window and their distances
/// alone: run by themselves they give the same.
#[test]
fn phi3_sees_its_window_only() {
    const WINDOW: usize = 8;
    let one_layer = Recipe {
        layers: 1,
        ..*recipe("phi3")
    };
    let mut nano = one_layer.build(Weights::All(TensorType::F32));
    nano.set("phi3.attention.sliding_window", WINDOW as u32);
    let compute = reference();
    let decoder = load(nano.to_bytes(), &compute).expect("loads");
    let ids = ids(40);
    let run = |ids: &[u32]| {
        run(
            &decoder,
            &compute,
            ids,
            &mut empty_cache(&decoder, &compute),
        )
    };
    let all = run(&ids);
    let last = |logits: &[f32]| logits[logits.len() - builder::VOCAB..].to_vec();
    let distance = |a: &[f32], b: &[f32]| -> f32 {
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max)
    };
    for position in [7, 8, 25, 39] {
        let row = &all[position * builder::VOCAB..][..builder::VOCAB];
        let alone = |len: usize| last(&run(&ids[position + 1 - len..=position]));
        assert!(distance(row, &alone(WINDOW)) < 1e-4, "position {position}");
        assert!(
            distance(row, &alone(WINDOW - 1)) > 1e-2,
            "position {position}"
        );
    }
}
