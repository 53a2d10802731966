//! How far each device is from the exact evaluation of the same dequantized weights, measured
//! beside the distance of an independent implementation.
//!
//! The bar is that implementation: our mean |Δ log p| from the exact evaluator, over its likely
//! entries, may exceed its own by at most a quarter (a few hundred positions do not tell less).

use pocketlm::gguf::Gguf;
use pocketlm::kernels::{Compute, cpu};
use pocketlm::model;

use crate::golden::{MODELS, cases, full, golden, likely, log_softmax, positions, real_model};

/// Sums over positions.
#[derive(Default)]
struct Distance {
    kl: f64,
    positions: f64,
    delta: f64,
    entries: f64,
}

impl Distance {
    fn mean_kl(&self) -> f64 {
        self.kl / self.positions
    }

    fn mean_delta(&self) -> f64 {
        self.delta / self.entries
    }
}

/// Kullback-Leibler divergence of `q` from `p`, both as log-probabilities.
fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum()
}

fn check(compute: &Compute) {
    let exact_engine = Compute::Reference(cpu::Engine::new(cpu::Engine::default_threads()));
    for (stem, _) in MODELS {
        if !full() && stem.contains("1.5b") {
            eprintln!("SKIPPED: {stem} on the exact evaluator (POCKETLM_FULL=1 runs it)");
            continue;
        }
        let Some(path) = real_model(stem) else {
            continue;
        };
        let gguf = Gguf::open(&path).expect("opens");
        let exact_model = model::load(&gguf, &exact_engine, Some(1024)).expect("loads");
        let our_model = model::load(&gguf, compute, Some(1024)).expect("loads");
        let golden = golden(stem);
        let (mut ours, mut theirs) = (Distance::default(), Distance::default());
        for case in cases(&golden, false) {
            let exact = positions(case, &exact_model, &exact_engine);
            let ours_at = positions(case, &our_model, compute);
            for ((position, exact), (_, our)) in exact.iter().zip(&ours_at) {
                let (exact, our) = (log_softmax(exact), log_softmax(our));
                ours.kl += kl(&exact, &our);
                ours.positions += 1.0;
                for (id, their) in likely(position) {
                    ours.delta += (our[id] - exact[id]).abs();
                    theirs.delta += (their - exact[id]).abs();
                    ours.entries += 1.0;
                    theirs.entries += 1.0;
                }
            }
        }
        eprintln!(
            "{stem} on {}: mean KL {:.6} nats, mean |Δ log p| {:.4}; the golden recording {:.4}",
            compute.name(),
            ours.mean_kl(),
            ours.mean_delta(),
            theirs.mean_delta(),
        );
        assert!(
            ours.mean_delta() <= 1.25 * theirs.mean_delta(),
            "{stem}: {} from exact, the independent implementation {}",
            ours.mean_delta(),
            theirs.mean_delta()
        );
    }
}

#[test]
fn the_cpu_is_as_close_to_exact_as_an_independent_implementation() {
    check(&Compute::Cpu(cpu::Engine::new(
        cpu::Engine::default_threads(),
    )));
}

#[cfg(feature = "gpu")]
#[test]
fn the_gpu_is_as_close_to_exact_as_an_independent_implementation() {
    match pocketlm::kernels::gpu::Engine::new() {
        Ok(engine) => check(&Compute::Gpu(engine)),
        Err(error) => eprintln!("SKIPPED: {error}"),
    }
}
