//! How long each row takes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pocketlm::{GenerateOptions, KvCache, LocalModel, SessionOptions};

use super::footprint::Footprint;
use super::plan::Plan;

/// Tokens in each pass that fills a cache: as many as a session takes at once.
const FILL_PIECE: usize = 128;

/// Verification passes of each size for each repetition: a pass is short.
const VERIFY_ROUNDS: u32 = 4;

/// After this time the rounds of verification end, if there were as many as repetitions.
const VERIFY_TIME: Duration = Duration::from_secs(20);

/// A model to measure, and the memory it takes meanwhile.
pub struct Timing<'a> {
    model: &'a LocalModel,
    plan: &'a Plan,
    /// As many tokens as any row needs; which ones does not matter for speed.
    ids: Vec<u32>,
    /// Each row is a phase of its own.
    pub footprint: Footprint,
}

impl<'a> Timing<'a> {
    /// Measures `model` by `plan`.
    ///
    /// # Errors
    /// When the model has no tokens to measure with.
    pub fn new(model: &'a LocalModel, plan: &'a Plan, footprint: Footprint) -> Result<Self> {
        Ok(Self {
            model,
            plan,
            ids: ordinary_ids(model, plan.most_tokens())?,
            footprint,
        })
    }

    /// Seconds from a short message to the first token of the answer.
    pub fn first_token(&mut self) -> Result<f64> {
        self.footprint.begin();
        let session = self.model.session(SessionOptions::default())?;
        let response = session.respond("Hello", &GenerateOptions::greedy().with_max_tokens(1))?;
        self.footprint.end(0);
        Ok(response.usage.time_to_first_token.as_secs_f64())
    }

    /// Tokens per second of processing a prompt up to the logits of its last token; `None` when
    /// the plan has no prompt.
    pub fn prompt_rate(&mut self) -> Result<Option<f64>> {
        let ids = &self.ids[..self.plan.prompt];
        if ids.is_empty() {
            return Ok(None);
        }
        self.footprint.begin();
        let mut cache = self.model.new_cache()?;
        let seconds = median_after_warm_up(self.plan.repetitions, || {
            cache.truncate(0);
            self.evaluate_seconds(ids, &mut cache, 1)
        })?;
        self.footprint.end(cache.bytes());
        Ok(Some(ids.len() as f64 / seconds))
    }

    /// Tokens per second of generating after `depth` tokens: one by one, with the logits of each.
    pub fn generate_rate(&mut self, depth: usize) -> Result<f64> {
        self.footprint.begin();
        let (before, generated) = self.ids[..depth + self.plan.generate].split_at(depth);
        let mut cache = self.filled(before)?;
        let seconds = median_after_warm_up(self.plan.repetitions, || {
            // Back to where it was, so that the depth is filled only once.
            cache.truncate(depth);
            let start = Instant::now();
            for id in generated {
                self.model
                    .evaluate(std::slice::from_ref(id), &mut cache, 1)?;
            }
            Ok(start.elapsed().as_secs_f64())
        })?;
        self.footprint.end(cache.bytes());
        Ok(generated.len() as f64 / seconds)
    }

    /// For each size of the plan, the time of a pass over that many tokens with the logits of
    /// each, relative to the time of a pass over one token.
    pub fn verify_ratios(&mut self) -> Result<Vec<(usize, f64)>> {
        if self.plan.verify.is_empty() {
            return Ok(Vec::new());
        }
        self.footprint.begin();
        let (before, drafted) = self.ids.split_at(self.plan.verify_depth);
        let mut cache = self.filled(before)?;
        let ratios = ratios_to_one(
            &self.plan.verify,
            u32::from(self.plan.repetitions),
            VERIFY_TIME,
            |tokens| {
                cache.truncate(before.len());
                self.evaluate_seconds(&drafted[..tokens], &mut cache, tokens)
            },
        )?;
        self.footprint.end(cache.bytes());
        Ok(ratios)
    }

    /// A cache that holds `ids`.
    fn filled(&self, ids: &[u32]) -> Result<KvCache> {
        let mut cache = self.model.new_cache()?;
        for piece in ids.chunks(FILL_PIECE) {
            self.model.evaluate(piece, &mut cache, 0)?;
        }
        Ok(cache)
    }

    /// Seconds of one pass over `ids` with the logits of the last `outputs`.
    fn evaluate_seconds(&self, ids: &[u32], cache: &mut KvCache, outputs: usize) -> Result<f64> {
        let start = Instant::now();
        self.model.evaluate(ids, cache, outputs)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// The median over rounds of `pass(size)` relative to the passes over one token just before and
/// just after it, for each size: a machine that gets slower or faster meanwhile changes both.
fn ratios_to_one(
    sizes: &[usize],
    repetitions: u32,
    time: Duration,
    mut pass: impl FnMut(usize) -> Result<f64>,
) -> Result<Vec<(usize, f64)>> {
    for &size in sizes {
        pass(size)?;
    }
    let start = Instant::now();
    let mut ratios = vec![Vec::new(); sizes.len()];
    let mut one = pass(1)?;
    for round in 0..repetitions * VERIFY_ROUNDS {
        if round >= repetitions && start.elapsed() > time {
            break;
        }
        for (&size, ratios) in sizes.iter().zip(&mut ratios) {
            let seconds = pass(size)?;
            let next = pass(1)?;
            ratios.push(seconds / ((one + next) / 2.0));
            one = next;
        }
    }
    let medians = ratios.into_iter().map(median);
    Ok(sizes.iter().copied().zip(medians).collect())
}

/// The median of what `run` returns in `repetitions` calls, after one that does not count.
fn median_after_warm_up(repetitions: u16, mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    run()?;
    let seconds: Result<Vec<f64>> = (0..repetitions).map(|_| run()).collect();
    Ok(median(seconds?))
}

/// The middle one of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// Tokens of the vocabulary, none of them a control token.
fn ordinary_ids(model: &LocalModel, n: usize) -> Result<Vec<u32>> {
    let tokenizer = model.tokenizer();
    let vocabulary = u32::try_from(tokenizer.vocab_size())?;
    let ids = (0..vocabulary)
        .filter(|&id| !tokenizer.is_control(id))
        .step_by(7);
    let ids: Vec<u32> = ids.cycle().take(n).collect();
    ensure!(ids.len() == n, "the vocabulary has no ordinary tokens");
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
    }

    #[test]
    fn the_first_run_does_not_count() {
        let mut times = [100.0, 1.0, 3.0, 2.0].into_iter();
        let run = || Ok(times.next().unwrap());
        assert_eq!(median_after_warm_up(3, run).unwrap(), 2.0);
        let failing = || anyhow::bail!("no time");
        assert!(median_after_warm_up(3, failing).is_err());
    }

    #[test]
    fn a_ratio_is_free_of_a_machine_that_gets_slower() {
        // A pass over k tokens takes 1 + k tenths, and each pass 1% longer than the one before.
        let mut speed = 1.0;
        let pass = |k: usize| {
            speed *= 1.01;
            Ok((1.0 + k as f64 / 10.0) * speed)
        };
        let ratios = ratios_to_one(&[1, 2, 8], 5, Duration::MAX, pass).unwrap();
        for (k, ratio) in ratios {
            let expected = (1.0 + k as f64 / 10.0) / 1.1;
            assert!((ratio - expected).abs() < 1e-3, "{k}: {ratio}");
        }
    }

    #[test]
    fn verification_ends_when_its_time_is_over() {
        let mut passes = 0;
        let pass = |_| {
            passes += 1;
            Ok(1.0)
        };
        ratios_to_one(&[4], 3, Duration::ZERO, pass).unwrap();
        assert_eq!(passes, 1 + 1 + 3 * 2, "warm-up, first, then three rounds");
    }
}
