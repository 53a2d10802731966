//! The result for a token is bitwise the same whatever batch it is computed in, on any number of
//! threads, after a truncation, and in a fork.

use pocketlm::kernels::cpu::{Engine, Level};

use super::*;

/// Ways to cut the sequence: batches of 1, 2, 3, 5, 7, 8 and 16 tokens in both orders, and all of it
/// at once. With the threads that run them.
const SCHEDULES: &[(usize, &[usize])] = &[
    (1, &[1, 2, 3, 5, 7, 8, 16, 38]),
    (3, &[38, 16, 8, 7, 5, 3, 2, 1]),
    (2, &[TOKENS]),
];

/// Everything that runs on the CPU path: each recipe in F32 (kernels on plain numbers), each
/// architecture in Q4_K (integer kernels), each format, and all formats at once.
fn subjects() -> Vec<Subject> {
    let mut out = every_recipe();
    let architectures = model::ARCHITECTURES.iter().map(|a| recipe(a.names[0]));
    out.extend(architectures.map(|r| Subject::new(r, Weights::All(TensorType::Q4K))));
    out.extend(every_format());
    out
}

/// Runs `ids` in batches of the given sizes, from what the cache holds.
fn run_in_batches(
    decoder: &Decoder,
    compute: &Compute,
    ids: &[u32],
    sizes: impl IntoIterator<Item = usize>,
    cache: &mut KvCache,
) -> Vec<f32> {
    let mut logits = Vec::new();
    let mut rest = ids;
    for size in sizes {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        logits.extend(run(decoder, compute, batch, cache));
        rest = later;
        if rest.is_empty() {
            return logits;
        }
    }
    panic!("{} ids are left over", rest.len());
}

/// Bitwise equality, with the place of the first difference.
fn assert_same(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    if let Some(i) = found.iter().zip(expected).position(differs) {
        let (row, id) = (i / builder::VOCAB, i % builder::VOCAB);
        panic!(
            "{what}: row {row}, id {id}: {} instead of {}",
            found[i], expected[i]
        );
    }
}

fn levels() -> impl Iterator<Item = Level> {
    Level::all()
}

#[test]
fn batches_and_threads_change_nothing() {
    let ids = ids(TOKENS);
    for subject in subjects() {
        let decoder = subject.load(&cpu());
        for level in levels() {
            let run = |threads, sizes: &[usize]| {
                let compute = Compute::Cpu(Engine::with_level(threads, level));
                let mut cache = empty_cache(&decoder, &compute);
                run_in_batches(&decoder, &compute, &ids, sizes.iter().copied(), &mut cache)
            };
            // Lower levels are compared schedule by schedule: token by token takes longest.
            let expected = match level == Level::detect() {
                true => run(2, &[1; TOKENS]),
                false => run(2, &[TOKENS]),
            };
            assert!(expected.iter().all(|x| x.is_finite()), "{}", subject.name);
            for (threads, sizes) in SCHEDULES {
                let what = format!(
                    "{}, {}, {threads} threads, batches of {sizes:?}",
                    subject.name,
                    level.name()
                );
                assert_same(&run(*threads, sizes), &expected, &what);
            }
        }
    }
}

#[test]
fn the_reference_is_exact_too() {
    let (compute, ids) = (reference(), ids(40));
    for recipe in RECIPES {
        let decoder = Subject::new(recipe, Weights::Mixed).load(&compute);
        let run = |sizes: &[usize]| {
            let mut cache = empty_cache(&decoder, &compute);
            run_in_batches(&decoder, &compute, &ids, sizes.iter().copied(), &mut cache)
        };
        assert_same(&run(&[1, 2, 3, 5, 7, 22]), &run(&[40]), recipe.name);
    }
}

/// Fewer outputs are the last of all outputs; none leave the same cache behind.
#[test]
fn outputs_are_the_last_rows() {
    let (compute, ids) = (cpu(), ids(24));
    for recipe in RECIPES {
        let decoder = Subject::new(recipe, Weights::All(TensorType::Q8_0)).load(&compute);
        let all = run(
            &decoder,
            &compute,
            &ids,
            &mut empty_cache(&decoder, &compute),
        );
        for outputs in [1, 3] {
            let mut cache = empty_cache(&decoder, &compute);
            let logits = decoder.forward(&compute, &ids, &mut cache, outputs);
            let logits = logits.expect("runs").expect("logits");
            assert_eq!(logits.dims(), [outputs, builder::VOCAB]);
            let logits = compute.read(logits).expect("reads");
            let last = &all[all.len() - outputs * builder::VOCAB..];
            assert_same(&logits, last, recipe.name);
        }
        let mut cache = empty_cache(&decoder, &compute);
        let none = decoder.forward(&compute, &ids[..23], &mut cache, 0);
        assert!(none.expect("runs").is_none());
        let logits = run(&decoder, &compute, &ids[23..], &mut cache);
        assert_same(&logits, &all[23 * builder::VOCAB..], recipe.name);
    }
}

/// The models whose caches differ in shape or use: one a plain architecture.
fn plain_models(compute: &Compute) -> Vec<(&'static str, Decoder)> {
    let names = model::ARCHITECTURES.iter().map(|a| a.names[0]);
    let load = |name| Subject::new(recipe(name), Weights::All(TensorType::Q8_0)).load(compute);
    names.map(|name| (name, load(name))).collect()
}

/// The row of `logits` that belongs to the token at `position`, and those after it.
fn from(logits: &[f32], position: usize) -> &[f32] {
    &logits[position * builder::VOCAB..]
}

#[test]
fn a_truncated_cache_goes_on_as_if_the_rest_had_never_been() {
    let (compute, ids) = (cpu(), ids(TOKENS));
    let other: Vec<u32> = ids.iter().rev().copied().collect();
    for (name, decoder) in plain_models(&compute) {
        let mut cache = empty_cache(&decoder, &compute);
        let expected = run(&decoder, &compute, &ids, &mut cache);
        // Around a window, and around the end of a page of the cache (64 positions).
        for keep in [79, 65, 64, 63, 33, 8, 1, 0] {
            cache.truncate(keep);
            assert_eq!(cache.tokens(), &ids[..keep]);
            let again = run_in_batches(&decoder, &compute, &ids[keep..], [3, TOKENS], &mut cache);
            assert_same(
                &again,
                from(&expected, keep),
                &format!("{name}, from {keep}"),
            );

            // Something else in the meantime leaves no trace.
            cache.truncate(keep);
            run(&decoder, &compute, &other[keep..], &mut cache);
            assert_eq!(cache.keep_prefix(&ids), shared_prefix(&ids, &other, keep));
            let kept = cache.len();
            let again = run(&decoder, &compute, &ids[kept..], &mut cache);
            assert_same(
                &again,
                from(&expected, kept),
                &format!("{name}, back to {keep}"),
            );
        }
        let bytes = cache.bytes();
        cache.truncate(1000);
        assert_eq!((cache.len(), cache.bytes()), (TOKENS, bytes), "{name}");
        assert_eq!(
            cache.keep_prefix(&ids),
            TOKENS - 1,
            "the last token's logits are wanted"
        );
    }
}

/// How many tokens `ids` shares with `ids[..keep]` followed by `other[keep..]`.
fn shared_prefix(ids: &[u32], other: &[u32], keep: usize) -> usize {
    let rest = ids[keep..].iter().zip(&other[keep..]);
    keep + rest.take_while(|(a, b)| a == b).count()
}

#[test]
fn forks_do_not_see_each_other() {
    let (compute, ids) = (cpu(), ids(TOKENS));
    let other: Vec<u32> = ids.iter().rev().copied().collect();
    for (name, decoder) in plain_models(&compute) {
        let alone = run(
            &decoder,
            &compute,
            &ids,
            &mut empty_cache(&decoder, &compute),
        );
        for at in [40, 64] {
            let mixed: Vec<u32> = ids[..at].iter().chain(&other[at..]).copied().collect();
            let alone_mixed = run(
                &decoder,
                &compute,
                &mixed,
                &mut empty_cache(&decoder, &compute),
            );
            let mut cache = empty_cache(&decoder, &compute);
            run(&decoder, &compute, &ids[..at], &mut cache);
            let mut fork = cache.fork().expect("a cache in host memory");
            // In turns, so that each writes where the other has just written.
            for (i, position) in (at..TOKENS).enumerate() {
                let step = position..position + 1;
                let check = |cache: &mut KvCache, ids: &[u32], alone: &[f32]| {
                    let row = run(&decoder, &compute, &ids[step.clone()], cache);
                    let expected = &from(alone, position)[..builder::VOCAB];
                    assert_same(&row, expected, &format!("{name}, forked at {at}, step {i}"));
                };
                check(&mut cache, &ids, &alone);
                check(&mut fork, &mixed, &alone_mixed);
            }
            drop(cache);
            assert_eq!(fork.tokens(), mixed, "{name}");
        }
    }
}
