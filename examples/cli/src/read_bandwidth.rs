//! The machine's memory read bandwidth, the bound that decoding is measured against.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

/// Bytes each pass reads, larger than any cache.
const BUFFER_BYTES: usize = 1 << 30;

/// Passes; the median counts.
const PASSES: usize = 5;

/// Bytes per second that `threads` threads together read from memory, each its own part of one
/// buffer in sequence: the median of several passes. `None` when there is no memory for the buffer.
pub fn measure(threads: usize) -> Option<f64> {
    measure_over(BUFFER_BYTES, threads)
}

fn measure_over(bytes: usize, threads: usize) -> Option<f64> {
    let words = bytes / size_of::<u64>();
    let mut buffer: Vec<u64> = Vec::new();
    buffer.try_reserve_exact(words).ok()?;
    // Written once, so that every page is there and none is the shared page of zeros.
    buffer.extend(0..words as u64);
    let part = words.div_ceil(threads.max(1));
    let mut rates: Vec<f64> = (0..PASSES)
        .map(|_| {
            let start = Instant::now();
            thread::scope(|scope| {
                for words in buffer.chunks(part) {
                    scope.spawn(|| black_box(sum(black_box(words))));
                }
            });
            bytes as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    Some(rates[PASSES / 2])
}

/// Sums with enough independent accumulators to keep the loads, not the additions, the bound.
fn sum(words: &[u64]) -> u64 {
    const LANES: usize = 32;
    let mut lanes = [0u64; LANES];
    let (blocks, rest) = words.as_chunks::<LANES>();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block) {
            *lane = lane.wrapping_add(*word);
        }
    }
    let total = lanes.iter().chain(rest).copied();
    total.fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_every_word() {
        for len in [0, 1, 31, 32, 33, 1000] {
            let words: Vec<u64> = (1..=len).collect();
            assert_eq!(sum(&words), len * (len + 1) / 2);
        }
    }

    #[test]
    fn measures_something_plausible() {
        let rate = measure_over(1 << 24, 2).unwrap();
        assert!((1e7..1e13).contains(&rate), "{rate}");
    }
}
