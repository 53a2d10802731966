//! Sampling against slow, obvious oracles in f64.

mod draw;
mod stop;

use std::collections::BTreeMap;

use pocketlm::PocketError;
use pocketlm::sample::{Action, STAGES, SampleOptions, Sampler};

/// Pseudo-random numbers of the tests: an LCG (Knuth), so that they share nothing with the
/// sampler's.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    /// Roughly normal, by the sum of uniforms.
    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..12)
            .map(|_| self.next() as f64 / (1u64 << 31) as f64)
            .sum();
        (sum - 6.0) as f32
    }

    fn logits(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.normal() * scale).collect()
    }
}

/// A logit per token that is still in.
type Logits = BTreeMap<u32, f64>;

fn probabilities(logits: &Logits) -> BTreeMap<u32, f64> {
    let sum: f64 = logits.values().map(|l| l.exp()).sum();
    logits.iter().map(|(&id, l)| (id, l.exp() / sum)).collect()
}

/// Tokens from the most likely on, the lowest first among equals.
fn ranking(logits: &Logits) -> Vec<u32> {
    let mut ids: Vec<u32> = logits.keys().copied().collect();
    ids.sort_by(|a, b| logits[b].total_cmp(&logits[a]).then(a.cmp(b)));
    ids
}

fn keep(logits: &Logits, ids: &[u32]) -> Logits {
    ids.iter().map(|id| (*id, logits[id])).collect()
}

/// The shortest beginning of `ids` that holds `mass`.
fn beginning<'a>(ids: &'a [u32], p: &BTreeMap<u32, f64>, mass: f64) -> &'a [u32] {
    let mut sum = 0.0;
    for (i, id) in ids.iter().enumerate() {
        sum += p[id];
        if sum >= mass {
            return &ids[..=i];
        }
    }
    ids
}

/// What each stage does, written as its paper has it. A stage without an oracle fails the tests.
fn oracle(stage: &str, options: &SampleOptions, history: &[u32], logits: &Logits) -> Logits {
    match stage {
        "logit-bias" => {
            let mut out = logits.clone();
            for (id, bias) in &options.logit_bias {
                if let Some(logit) = out.get_mut(id) {
                    *logit += f64::from(*bias);
                }
            }
            out.retain(|_, logit| logit.is_finite());
            out
        }
        "penalties" => {
            let mut out = logits.clone();
            let from = history.len().saturating_sub(options.penalty_window);
            for (id, logit) in &mut out {
                let count = history[from..].iter().filter(|h| *h == id).count();
                if count > 0 {
                    let repetition = f64::from(options.repetition_penalty);
                    *logit = if *logit > 0.0 {
                        *logit / repetition
                    } else {
                        *logit * repetition
                    };
                    *logit -= count as f64 * f64::from(options.frequency_penalty);
                    *logit -= f64::from(options.presence_penalty);
                }
            }
            out
        }
        "top-k" if options.top_k == 0 => logits.clone(),
        "top-k" => keep(logits, &ranking(logits)[..options.top_k.min(logits.len())]),
        "typical" if options.typical_p == 1.0 => logits.clone(),
        "typical" => {
            let p = probabilities(logits);
            let entropy: f64 = -p.values().map(|p| p * p.ln()).sum::<f64>();
            let mut ids = ranking(logits);
            let distance = |id: &u32| (-p[id].ln() - entropy).abs();
            ids.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            keep(logits, beginning(&ids, &p, f64::from(options.typical_p)))
        }
        "top-p" if options.top_p == 1.0 => logits.clone(),
        "top-p" => {
            let p = probabilities(logits);
            keep(
                logits,
                beginning(&ranking(logits), &p, f64::from(options.top_p)),
            )
        }
        "min-p" => {
            let p = probabilities(logits);
            let best = p.values().copied().fold(0.0, f64::max);
            let mut out = logits.clone();
            out.retain(|id, _| p[id] >= best * f64::from(options.min_p));
            out
        }
        "temperature" if options.temperature == 0.0 => keep(logits, &ranking(logits)[..1]),
        "temperature" => {
            let t = f64::from(options.temperature);
            logits.iter().map(|(&id, l)| (id, l / t)).collect()
        }
        unknown => panic!("the stage {unknown} has no oracle"),
    }
}

/// Options that switch a stage on, several ways.
fn settings(stage: &str) -> Vec<SampleOptions> {
    let base = SampleOptions::neutral;
    match stage {
        "logit-bias" => vec![
            SampleOptions {
                logit_bias: vec![(3, 2.5), (7, -1.0), (3, 0.5), (u32::MAX, 1.0)],
                ..base()
            },
            SampleOptions {
                logit_bias: vec![(0, f32::NEG_INFINITY)],
                ..base()
            },
        ],
        "penalties" => vec![
            SampleOptions {
                repetition_penalty: 1.3,
                ..base()
            },
            SampleOptions {
                repetition_penalty: 0.7,
                penalty_window: 3,
                ..base()
            },
            SampleOptions {
                frequency_penalty: 0.4,
                penalty_window: usize::MAX,
                ..base()
            },
            SampleOptions {
                presence_penalty: -0.6,
                frequency_penalty: 0.1,
                penalty_window: 10,
                ..base()
            },
        ],
        "top-k" => [1, 2, 7, 40, 1000, usize::MAX]
            .map(|top_k| SampleOptions { top_k, ..base() })
            .into(),
        "typical" => [0.001, 0.3, 0.9, 0.999]
            .map(|typical_p| SampleOptions {
                typical_p,
                ..base()
            })
            .into(),
        "top-p" => [0.0, 0.1, 0.5, 0.95, 0.9999]
            .map(|top_p| SampleOptions { top_p, ..base() })
            .into(),
        "min-p" => [0.001, 0.05, 0.5, 1.0]
            .map(|min_p| SampleOptions { min_p, ..base() })
            .into(),
        "temperature" => [0.0, 0.05, 0.7, 1.5, 10.0]
            .map(|temperature| SampleOptions {
                temperature,
                ..base()
            })
            .into(),
        unknown => panic!("the stage {unknown} has no settings"),
    }
}

fn check(options: &SampleOptions, stages: &[&str], logits: &[f32], history: &[u32]) {
    let mut sampler = Sampler::new(options).unwrap();
    history.iter().for_each(|id| sampler.accept(*id));
    let found: BTreeMap<u32, f64> = sampler
        .distribution(&mut logits.to_vec())
        .unwrap()
        .into_iter()
        .collect();
    let mut expected: Logits = (0..).zip(logits.iter().map(|l| f64::from(*l))).collect();
    for stage in stages {
        expected = oracle(stage, options, history, &expected);
    }
    let expected = probabilities(&expected);
    let ids = |p: &BTreeMap<u32, f64>| p.keys().copied().collect::<Vec<_>>();
    assert_eq!(ids(&found), ids(&expected), "{options:?}");
    for (id, p) in &expected {
        // f32 logits carry 24 bits; temperature and penalties round once more.
        assert!(
            (found[id] - p).abs() <= 1e-5 * p + 1e-12,
            "{options:?}: {id}: {} for {p}",
            found[id]
        );
    }
}

#[test]
fn each_stage_does_what_its_oracle_does() {
    let mut random = Lcg(1);
    for stage in STAGES {
        for options in settings(stage.name) {
            assert!(
                (stage.build)(&options).unwrap().is_some(),
                "{}: {options:?}",
                stage.name
            );
            for (size, scale) in [(1, 1.0), (10, 1.0), (50, 3.0), (2000, 2.0), (2000, 0.1)] {
                let logits = random.logits(size, scale);
                let history: Vec<u32> = (0..30).map(|_| random.next() as u32 % 12).collect();
                let all_masked =
                    size == 1 && options.logit_bias.iter().any(|(_, b)| b.is_infinite());
                if !all_masked {
                    check(&options, &[stage.name], &logits, &history);
                }
            }
        }
    }
}

#[test]
fn stages_compose_in_the_documented_order() {
    let names: Vec<&str> = STAGES.iter().map(|s| s.name).collect();
    let order = [
        "logit-bias",
        "penalties",
        "top-k",
        "typical",
        "top-p",
        "min-p",
        "temperature",
    ];
    assert_eq!(names, order);
    let mut random = Lcg(2);
    for seed in 0..20 {
        let options = SampleOptions {
            temperature: 0.8,
            top_k: 30 + seed,
            top_p: 0.9,
            min_p: 0.02,
            typical_p: 0.97,
            repetition_penalty: 1.1,
            presence_penalty: 0.2,
            logit_bias: vec![(1, 1.0)],
            ..SampleOptions::neutral()
        };
        let logits = random.logits(3000, 2.5);
        check(&options, &order, &logits, &[1, 2, 3, 2]);
    }
}

#[test]
fn neutral_values_switch_a_stage_off() {
    for stage in STAGES {
        assert!(
            (stage.build)(&SampleOptions::neutral()).unwrap().is_none(),
            "{}",
            stage.name
        );
        assert!(!stage.doc.is_empty());
    }
    // What changes logits comes before what takes candidates from them.
    let mut candidates_seen = false;
    for stage in STAGES {
        for options in settings(stage.name) {
            match (stage.build)(&options).unwrap() {
                Some(Action::Logits(_)) => assert!(!candidates_seen, "{}", stage.name),
                Some(Action::Candidates(_)) => candidates_seen = true,
                None => {}
            }
        }
    }
}

#[test]
fn options_outside_their_domain_are_refused_by_name() {
    let base = SampleOptions::neutral;
    let nan = f32::NAN;
    for (name, options) in [
        (
            "temperature",
            SampleOptions {
                temperature: -0.1,
                ..base()
            },
        ),
        (
            "temperature",
            SampleOptions {
                temperature: nan,
                ..base()
            },
        ),
        (
            "temperature",
            SampleOptions {
                temperature: f32::INFINITY,
                ..base()
            },
        ),
        (
            "top_p",
            SampleOptions {
                top_p: 1.01,
                ..base()
            },
        ),
        (
            "top_p",
            SampleOptions {
                top_p: nan,
                ..base()
            },
        ),
        (
            "min_p",
            SampleOptions {
                min_p: -0.01,
                ..base()
            },
        ),
        (
            "min_p",
            SampleOptions {
                min_p: nan,
                ..base()
            },
        ),
        (
            "typical_p",
            SampleOptions {
                typical_p: 0.0,
                ..base()
            },
        ),
        (
            "typical_p",
            SampleOptions {
                typical_p: nan,
                ..base()
            },
        ),
        (
            "repetition_penalty",
            SampleOptions {
                repetition_penalty: 0.0,
                ..base()
            },
        ),
        (
            "repetition_penalty",
            SampleOptions {
                repetition_penalty: nan,
                ..base()
            },
        ),
        (
            "frequency_penalty",
            SampleOptions {
                frequency_penalty: f32::INFINITY,
                ..base()
            },
        ),
        (
            "presence_penalty",
            SampleOptions {
                presence_penalty: nan,
                ..base()
            },
        ),
        (
            "logit_bias",
            SampleOptions {
                logit_bias: vec![(1, nan)],
                ..base()
            },
        ),
        (
            "logit_bias",
            SampleOptions {
                logit_bias: vec![(1, f32::INFINITY)],
                ..base()
            },
        ),
    ] {
        match Sampler::new(&options) {
            Err(PocketError::InvalidArgument { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}
