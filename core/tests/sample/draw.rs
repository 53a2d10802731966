//! The draw itself: extremes, ties, frequencies, seeds, large vocabularies, log-probabilities.

use std::collections::BTreeMap;

use pocketlm::PocketError;
use pocketlm::sample::{LogSoftmax, SampleOptions, Sampler, argmax, top_logprobs};

use super::Lcg;

#[test]
fn broken_logits_are_an_error_and_masked_ones_are_never_drawn() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    for options in [
        SampleOptions::default(),
        SampleOptions::greedy(),
        SampleOptions::neutral(),
    ] {
        let mut sampler = Sampler::new(&options).unwrap();
        for bad in [
            vec![],
            vec![-inf, -inf],
            vec![1.0, nan],
            vec![nan],
            vec![inf, 0.0],
            vec![-inf, inf],
        ] {
            let result = sampler.sample(&mut bad.clone());
            assert!(
                matches!(result, Err(PocketError::InvalidArgument { .. })),
                "{bad:?}: {result:?}"
            );
        }
        for _ in 0..200 {
            assert_eq!(sampler.sample(&mut [-inf, 3.0, -inf]).unwrap(), 1);
            assert_ne!(sampler.sample(&mut [0.0, 0.0, -inf, 0.1]).unwrap(), 2);
        }
        // Extremes of f32 neither overflow nor turn into NaN.
        assert_eq!(sampler.sample(&mut [f32::MAX, f32::MIN, 0.0]).unwrap(), 0);
    }
    let tiny = SampleOptions {
        temperature: f32::from_bits(1),
        ..SampleOptions::neutral()
    };
    assert_eq!(
        Sampler::new(&tiny)
            .unwrap()
            .sample(&mut [1.0, 1.0001, -5.0])
            .unwrap(),
        1
    );
}

#[test]
fn ties_go_to_the_lowest_token() {
    let mut equal = vec![0.5f32; 5000];
    equal[0] = f32::NEG_INFINITY;
    assert_eq!(
        Sampler::new(&SampleOptions::greedy())
            .unwrap()
            .sample(&mut equal.clone())
            .unwrap(),
        1
    );
    assert_eq!(argmax(&equal).unwrap(), 1);
    for options in [
        SampleOptions {
            top_k: 3,
            ..SampleOptions::neutral()
        },
        SampleOptions {
            top_p: 2.5 / 4999.0,
            ..SampleOptions::neutral()
        },
        SampleOptions {
            typical_p: 2.5 / 4999.0,
            ..SampleOptions::neutral()
        },
    ] {
        let found = Sampler::new(&options)
            .unwrap()
            .distribution(&mut equal.clone())
            .unwrap();
        let ids: Vec<u32> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 2, 3], "{options:?}");
    }
}

#[test]
fn draws_follow_the_distribution() {
    const DRAWS: usize = 100_000;
    let logits: Vec<f32> = (0..12).map(|i| (i as f32 * 0.9).sin() * 1.5).collect();
    for options in [
        SampleOptions {
            seed: Some(7),
            ..SampleOptions::neutral()
        },
        SampleOptions {
            seed: Some(8),
            temperature: 1.7,
            ..SampleOptions::neutral()
        },
        SampleOptions {
            seed: Some(9),
            ..SampleOptions::default()
        },
    ] {
        let mut sampler = Sampler::new(&options).unwrap();
        let expected = sampler.distribution(&mut logits.clone()).unwrap();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for _ in 0..DRAWS {
            *counts
                .entry(sampler.sample(&mut logits.clone()).unwrap())
                .or_default() += 1;
        }
        let chi_square: f64 = expected
            .iter()
            .map(|(id, p)| {
                let (expected, found) = (p * DRAWS as f64, counts.remove(id).unwrap_or(0) as f64);
                (found - expected).powi(2) / expected
            })
            .sum();
        assert!(
            counts.is_empty(),
            "drawn outside the distribution: {counts:?}"
        );
        // Of 11 degrees of freedom or fewer, 50 is exceeded by chance once in a million times.
        assert!(chi_square < 50.0, "{options:?}: {chi_square}");
    }
}

#[test]
fn a_seed_gives_the_same_tokens_everywhere() {
    // From a separate implementation of SplitMix64 and PCG XSL-RR 128/64: floor(1000 · uniform).
    for (seed, expected) in [
        (0, [793, 47, 865, 550, 905, 56, 71, 728, 459, 3, 101, 756]),
        (
            42,
            [787, 987, 25, 634, 51, 632, 879, 419, 815, 474, 488, 757],
        ),
        (
            u64::MAX,
            [939, 919, 776, 77, 481, 198, 242, 926, 201, 937, 237, 7],
        ),
    ] {
        let options = SampleOptions {
            seed: Some(seed),
            ..SampleOptions::neutral()
        };
        let mut sampler = Sampler::new(&options).unwrap();
        for _ in 0..2 {
            let tokens: Vec<u32> = (0..12)
                .map(|_| sampler.sample(&mut [0.0; 1000]).unwrap())
                .collect();
            assert_eq!(tokens, expected);
            sampler.reset();
        }
        assert_eq!(sampler.seed(), seed);
    }
    let fresh = || Sampler::new(&SampleOptions::default()).unwrap().seed();
    assert_ne!(fresh(), fresh());
    // A fresh seed replays like any other.
    let mut first = Sampler::new(&SampleOptions::neutral()).unwrap();
    let mut again = Sampler::new(&SampleOptions {
        seed: Some(first.seed()),
        ..SampleOptions::neutral()
    })
    .unwrap();
    for _ in 0..20 {
        assert_eq!(
            first.sample(&mut [0.0; 1000]).unwrap(),
            again.sample(&mut [0.0; 1000]).unwrap()
        );
    }
}

#[test]
fn the_window_slides_and_can_be_cleared() {
    let options = SampleOptions {
        presence_penalty: 5.0,
        penalty_window: 2,
        ..SampleOptions::greedy()
    };
    let mut sampler = Sampler::new(&options).unwrap();
    let mut chosen = Vec::new();
    for _ in 0..6 {
        let id = sampler.sample(&mut [3.0, 2.0, 1.0]).unwrap();
        sampler.accept(id);
        chosen.push(id);
    }
    assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    sampler.reset();
    assert_eq!(sampler.sample(&mut [3.0, 2.0, 1.0]).unwrap(), 0);
}

#[test]
fn a_large_vocabulary_is_cut_as_a_full_sort_would() {
    let logits = Lcg(3).logits(262_144, 3.0);
    let mut sorted: Vec<u32> = (0..logits.len() as u32).collect();
    sorted.sort_by(|a, b| {
        logits[*b as usize]
            .total_cmp(&logits[*a as usize])
            .then(a.cmp(b))
    });
    for top_k in [1, 40, 128, 1000, 200_000] {
        let options = SampleOptions {
            top_k,
            ..SampleOptions::neutral()
        };
        let found = Sampler::new(&options)
            .unwrap()
            .distribution(&mut logits.clone())
            .unwrap();
        let ids: Vec<u32> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, sorted[..top_k]);
    }
    let top: Vec<u32> = top_logprobs(&logits, 20)
        .unwrap()
        .iter()
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(top, sorted[..20]);
}

#[test]
fn log_probabilities_rank_and_sum_to_one() {
    let mut logits = Lcg(4).logits(500, 4.0);
    logits[3] = f32::NEG_INFINITY;
    logits[10] = logits[20];
    let scores = LogSoftmax::new(&logits).unwrap();
    let sum: f64 = (0..500).map(|id| scores.logprob(id).unwrap().exp()).sum();
    assert!((sum - 1.0).abs() < 1e-12);
    let top = scores.top(500);
    assert_eq!(top.len(), 499, "the masked token is left out");
    for (rank, (id, logprob)) in top.iter().enumerate() {
        assert_eq!(scores.rank(*id), Some(rank));
        assert!((f64::from(*logprob) - scores.logprob(*id).unwrap()).abs() < 1e-6);
    }
    assert_eq!(scores.logprob(3), Some(f64::NEG_INFINITY));
    assert_eq!(
        (scores.rank(3), scores.rank(500), scores.logprob(500)),
        (Some(499), None, None)
    );
    assert_eq!(scores.rank(20), scores.rank(10).map(|r| r + 1));
    assert!((LogSoftmax::new(&[7.0; 8]).unwrap().logprob(0).unwrap() + 8f64.ln()).abs() < 1e-12);
    assert_eq!(top_logprobs(&[1.0, 2.0], 0).unwrap(), []);
    for bad in [
        vec![],
        vec![f32::NEG_INFINITY; 2],
        vec![f32::NAN],
        vec![0.0, f32::INFINITY],
    ] {
        assert!(matches!(
            top_logprobs(&bad, 1),
            Err(PocketError::InvalidArgument { .. })
        ));
    }
}

#[test]
fn samplers_move_between_threads() {
    fn sendable<T: Send>() {}
    sendable::<Sampler>();
}
