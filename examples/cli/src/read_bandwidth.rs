//! The machine's memory read bandwidth, the bound that decoding is measured against.
//!
//! It is the denominator of a share that must not come out too good, so it is read as fast as the
//! machine allows: by every thread, in order, with nothing to do but a sum; a thread that another
//! process slows down leaves its part to the others, as in the decoder. What is fastest depends on
//! the machine and on the moment, so some ways take turns and the fastest counts: memory of this
//! process's own, in huge pages where the system has them, and the model's weights where they lie
//! in the file's mapping (a model of the size of a cache is read from there); each in one stream
//! and in several. Explicit prefetching and wider loads than the compiler's own gain nothing.

use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use memmap2::MmapMut;
use pocketlm::gguf::{Blob, Gguf};

use crate::bench::median;

/// Bytes each pass reads, larger than any cache.
const PASS_BYTES: usize = 1 << 29;

/// Bytes a thread takes at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Passes of each way in one go; the median counts.
const PASSES: usize = 5;

/// In one stream, as caches like it, or in several, whose waits for page tables overlap.
const SUMS: [fn(&[u8]) -> u64; 2] = [sum::<1>, sum::<4>];

/// Places to read from.
const PLACES: usize = 2;

/// Rates of reading, collected over time.
pub struct ReadBandwidth {
    threads: usize,
    weights: Vec<Blob>,
    /// The rates of each way.
    rates: [Vec<f64>; PLACES * SUMS.len()],
}

impl ReadBandwidth {
    /// Nothing measured yet, for reading with `threads` threads from memory and from the layers'
    /// tensors of `gguf` (an embedding table is not read as a whole).
    pub fn new(threads: usize, gguf: &Gguf) -> Self {
        let layers = gguf.tensors().iter().filter(|t| t.name.starts_with("blk."));
        Self {
            threads,
            weights: layers.map(|tensor| gguf.bytes(tensor)).collect(),
            rates: Default::default(),
        }
    }

    /// Some passes of each way. The memory they take is free again after them.
    pub fn measure(&mut self) {
        let memory = own_memory(PASS_BYTES).ok();
        let places: [Vec<&[u8]>; PLACES] = [
            chunks(memory.iter().map(|memory| &**memory)),
            chunks(self.weights.iter().map(|blob| &**blob)),
        ];
        for _ in 0..PASSES {
            let ways = places.iter().flat_map(|place| SUMS.map(|sum| (place, sum)));
            for ((place, sum), rates) in ways.zip(&mut self.rates) {
                rates.extend(rate(place, self.threads, sum));
            }
        }
    }

    /// Bytes per second: the median of all passes of the fastest way. `None` when there was
    /// nothing to read.
    pub fn bytes_per_second(&self) -> Option<f64> {
        let measured = self.rates.iter().filter(|rates| !rates.is_empty());
        measured
            .map(|rates| median(rates.clone()))
            .max_by(f64::total_cmp)
    }
}

/// Memory of this process's own.
fn own_memory(bytes: usize) -> io::Result<MmapMut> {
    let mut memory = MmapMut::map_anon(bytes)?;
    // Where the system does not do it, reading looks up more page tables.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    // Written once, so that every page is there and none is the shared page of zeros.
    memory.fill(1);
    Ok(memory)
}

/// The first [`PASS_BYTES`] of `parts`, in pieces for a thread to take.
fn chunks<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let chunks = parts.into_iter().flat_map(|part| part.chunks(CHUNK_BYTES));
    chunks.take(PASS_BYTES / CHUNK_BYTES).collect()
}

/// Bytes per second of one pass, in which `threads` threads read all chunks, again and again if
/// they are few. `None` when there are none.
fn rate(chunks: &[&[u8]], threads: usize, sum: fn(&[u8]) -> u64) -> Option<f64> {
    let bytes: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let rounds = PASS_BYTES.checked_div(bytes)?.max(1);
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= chunks.len() * rounds {
                        break;
                    }
                    black_box(sum(black_box(chunks[i % chunks.len()])));
                }
            });
        }
    });
    Some((bytes * rounds) as f64 / start.elapsed().as_secs_f64())
}

/// The sum of the words that fill `bytes`, read from `STREAMS` places in turn, with enough
/// independent accumulators to keep the loads, not the additions, the bound.
fn sum<const STREAMS: usize>(bytes: &[u8]) -> u64 {
    const WORD: usize = size_of::<u64>();
    const LANES: usize = 16;
    let (words, _) = bytes.as_chunks::<WORD>();
    let (blocks, rest) = words.as_chunks::<LANES>();
    let (even, odd) = blocks.split_at(blocks.len() / STREAMS * STREAMS);
    let part = even.len() / STREAMS;
    let streams: [&[[[u8; WORD]; LANES]]; STREAMS] =
        std::array::from_fn(|k| &even[k * part..(k + 1) * part]);

    let mut lanes = [0u64; LANES];
    let mut add = |block: &[[u8; WORD]; LANES]| {
        for (lane, word) in lanes.iter_mut().zip(block) {
            *lane = lane.wrapping_add(u64::from_ne_bytes(*word));
        }
    };
    for i in 0..part {
        streams.iter().for_each(|stream| add(&stream[i]));
    }
    odd.iter().for_each(&mut add);
    let rest = rest.iter().map(|word| u64::from_ne_bytes(*word));
    lanes.into_iter().chain(rest).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_every_word() {
        for len in [0, 1, 15, 16, 17, 63, 64, 65, 1000] {
            let words: Vec<u8> = (1..=len).flat_map(u64::to_ne_bytes).collect();
            for sum in SUMS {
                assert_eq!(sum(&words), len * (len + 1) / 2, "{len}");
            }
        }
    }

    #[test]
    fn every_byte_is_in_one_chunk() {
        let parts = [vec![1; CHUNK_BYTES + 1], vec![2; 3], Vec::new()];
        let pieces = chunks(parts.iter().map(|part| &**part));
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [CHUNK_BYTES, 1, 3]);
    }

    #[test]
    fn the_fastest_way_counts() {
        let mut bandwidth = ReadBandwidth {
            threads: 2,
            weights: Vec::new(),
            rates: Default::default(),
        };
        assert_eq!(bandwidth.bytes_per_second(), None);
        bandwidth.rates[1] = vec![3.0, 1.0, 2.0];
        assert_eq!(bandwidth.bytes_per_second(), Some(2.0));
        bandwidth.rates[3] = vec![4.0, 1.0, 5.0];
        assert_eq!(bandwidth.bytes_per_second(), Some(4.0));
    }

    #[test]
    fn measures_something_plausible() {
        let data = vec![1; 1 << 20];
        let chunks = chunks([&*data]);
        for sum in SUMS {
            for threads in [1, 2] {
                let rate = rate(&chunks, threads, sum).unwrap();
                assert!((1e7..1e13).contains(&rate), "{rate}");
            }
            assert_eq!(rate(&[], 2, sum), None);
        }
    }

    #[test]
    fn own_memory_is_there_before_it_is_read() {
        let memory = own_memory(1 << 22).unwrap();
        assert!(memory.len() == 1 << 22 && memory.iter().all(|&byte| byte == 1));
    }
}
