//! Attention over a paged cache with a running softmax (arXiv 2205.14135).
//!
//! Keys are taken a page of 64 at a time, in splits of [`SPLIT`] pages. A split begins an empty
//! softmax of its own; splits are joined in order at the end. Where they lie depends on positions
//! alone, so a row's result is the same whether threads shared its splits (one token deep in a
//! conversation) or each thread took all splits of some rows (a prompt).
//!
//! Within a page scores are lanes: 64 keys side by side, one dimension after the other, so nothing
//! is added across lanes but the 64 weights of a page's softmax.

use std::cell::RefCell;
use std::ops::Range;

use crate::kernels::kv::Page;
use crate::kernels::{Attention, HostKv, PAGE};

use super::Engine;
use super::elementwise::{exp, softcap};
use super::lanes::{Kernel, LANES, Lanes};
use super::parts::Parts;

/// Pages of a split: 512 positions.
const SPLIT: usize = 8;

/// Query rows a task handles together: they share a page's conversion to f32.
const ROWS: usize = 16;

/// Up to how many rows threads share the splits of a sequence.
const FEW: usize = 8;

/// Vectors of a page of keys.
const VECTORS: usize = PAGE / LANES;

/// Running softmaxes of some query vectors.
#[derive(Clone, Default)]
struct Running {
    /// The greatest score so far, -∞ before any.
    max: Vec<f32>,
    /// Σ e^(score − max).
    sum: Vec<f32>,
    /// Σ e^(score − max) · value, `[vectors][stride]` vectors.
    acc: Vec<[f32; LANES]>,
}

impl Running {
    fn clear(&mut self, vectors: usize, stride: usize) {
        self.max.clear();
        self.max.resize(vectors, f32::NEG_INFINITY);
        self.sum.clear();
        self.sum.resize(vectors, 0.0);
        self.acc.clear();
        self.acc.resize(vectors * stride, [0.0; LANES]);
    }
}

/// Room of a thread.
#[derive(Default)]
struct Room {
    keys: Vec<f32>,
    values: Vec<[f32; LANES]>,
    split: Running,
    total: Running,
}

/// Bytes of a thread's room for heads of `head_dim` elements (`stride` vectors), `group` query heads
/// to each key/value head.
pub fn room_bytes(head_dim: usize, stride: usize, group: usize) -> usize {
    let vector = size_of::<[f32; LANES]>();
    let running = ROWS * group * (stride * vector + 2 * size_of::<f32>());
    PAGE * head_dim * size_of::<f32>() + PAGE * stride * vector + 2 * running
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// See [`crate::kernels::Kernels::attend`].
pub fn attend<P: Page>(
    engine: &Engine,
    q: &[f32],
    layer: &Attention,
    cache: &HostKv<P>,
    position: usize,
) -> Vec<f32> {
    let width = layer.heads * layer.head_dim;
    let n = q.len() / width;
    let mut out = vec![0.0; q.len()];
    let parts = Parts::new(&mut out);
    let queries = |kv_head: usize, rows: Range<usize>| Queries {
        q: &q[rows.start * width..rows.end * width],
        layer,
        position: position + rows.start,
        kv_head,
    };
    let splits = |queries: &Queries<'_>| {
        let (first, last) = (queries.low(0), queries.high(queries.rows() - 1));
        first / PAGE / SPLIT..last / PAGE / SPLIT + 1
    };
    let all = splits(&queries(0, 0..n));
    if n <= FEW && all.len() > 1 {
        let mut running = vec![Running::default(); layer.kv_heads * all.len()];
        engine.pool.for_each_piece(&mut running, 1, |i, running| {
            let (kv_head, split) = (i / all.len(), all.start + i % all.len());
            let queries = queries(kv_head, 0..n);
            ROOM.with_borrow_mut(|room| {
                let (keys, values) = (&mut room.keys, &mut room.values);
                attend_split(
                    engine,
                    &queries,
                    cache,
                    split,
                    keys,
                    values,
                    &mut running[0],
                );
            });
        });
        for (kv_head, running) in running.chunks_exact_mut(all.len()).enumerate() {
            let queries = queries(kv_head, 0..n);
            if let Some((total, others)) = running.split_first_mut() {
                for other in others.iter() {
                    engine.level.run(Join { total, other });
                }
                queries.write(total, width, &parts, 0);
            }
        }
    } else {
        let blocks = n.div_ceil(ROWS);
        engine.pool.run(blocks * layer.kv_heads, &|i| {
            // The last rows see the most: they come first.
            let (block, kv_head) = (blocks - 1 - i / layer.kv_heads, i % layer.kv_heads);
            let rows = block * ROWS..n.min((block + 1) * ROWS);
            let queries = queries(kv_head, rows.clone());
            ROOM.with_borrow_mut(|room| {
                let Room {
                    keys,
                    values,
                    split,
                    total,
                } = room;
                let mut splits = splits(&queries);
                if let Some(first) = splits.next() {
                    attend_split(engine, &queries, cache, first, keys, values, total);
                }
                for index in splits {
                    attend_split(engine, &queries, cache, index, keys, values, split);
                    engine.level.run(Join {
                        total,
                        other: split,
                    });
                }
                queries.write(total, width, &parts, rows.start);
            });
        });
    }
    out
}

/// Query rows that a task handles, for one key/value head.
struct Queries<'a> {
    /// `[rows, heads · head_dim]`.
    q: &'a [f32],
    layer: &'a Attention,
    /// Of the first row.
    position: usize,
    kv_head: usize,
}

impl Queries<'_> {
    /// Query heads that share a key/value head.
    fn group(&self) -> usize {
        self.layer.heads / self.layer.kv_heads
    }

    fn rows(&self) -> usize {
        self.q.len() / (self.layer.heads * self.layer.head_dim)
    }

    /// Query vectors: each head of the group of each row.
    fn vectors(&self) -> usize {
        self.rows() * self.group()
    }

    /// The first position that row `r` sees.
    #[inline(always)]
    fn low(&self, r: usize) -> usize {
        let window = self.layer.window;
        window.map_or(0, |w| (self.high(r) + 1).saturating_sub(w))
    }

    /// The last position that row `r` sees: its own.
    #[inline(always)]
    fn high(&self, r: usize) -> usize {
        self.position + r
    }

    /// Vectors of a head, the last filled up.
    fn stride(&self) -> usize {
        self.layer.head_dim.div_ceil(LANES)
    }

    /// Where query vector `v` is in a row-major `[rows, heads · head_dim]`.
    #[inline(always)]
    fn place(&self, v: usize) -> usize {
        let (row, head) = (v / self.group(), v % self.group());
        let head = self.kv_head * self.group() + head;
        (row * self.layer.heads + head) * self.layer.head_dim
    }

    /// Query vector `v`.
    #[inline(always)]
    fn vector(&self, v: usize) -> &[f32] {
        &self.q[self.place(v)..][..self.layer.head_dim]
    }

    /// Positions of the page that begins at `start` which row `r` sees, counted from its start.
    #[inline(always)]
    fn seen(&self, r: usize, start: usize) -> Range<usize> {
        let end = (self.high(r) + 1).clamp(start, start + PAGE) - start;
        self.low(r).clamp(start, start + PAGE) - start..end
    }

    /// Writes the weighted means to the rows from `first` on of `out[n, width]`.
    #[allow(unsafe_code)]
    fn write(&self, total: &Running, width: usize, out: &Parts<'_, f32>, first: usize) {
        for (v, acc) in total.acc.chunks_exact(self.stride()).enumerate() {
            // SAFETY: every pair of a row and a head belongs to one task.
            let out = unsafe { out.part(first * width + self.place(v), self.layer.head_dim) };
            for (out, x) in out.iter_mut().zip(acc.as_flattened()) {
                *out = x / total.sum[v];
            }
        }
    }
}

/// All of `queries` over the pages of one split, into `running`.
fn attend_split<P: Page>(
    engine: &Engine,
    queries: &Queries<'_>,
    cache: &HostKv<P>,
    split: usize,
    keys: &mut Vec<f32>,
    values: &mut Vec<[f32; LANES]>,
    running: &mut Running,
) {
    let stride = queries.stride();
    running.clear(queries.vectors(), stride);
    keys.resize(PAGE * queries.layer.head_dim, 0.0);
    // What is beyond a head's elements must be numbers, though they are not read back.
    values.clear();
    values.resize(PAGE * stride, [0.0; LANES]);
    let low = queries.low(0) / PAGE;
    let high = queries.high(queries.rows() - 1) / PAGE;
    for page in low.max(split * SPLIT)..(high + 1).min((split + 1) * SPLIT) {
        engine.level.run(AttendPage {
            queries,
            page: &*cache.pages()[page],
            start: page * PAGE,
            keys,
            values,
            running,
        });
    }
}

/// Adds a page's keys and values to the running softmaxes.
struct AttendPage<'a, P> {
    queries: &'a Queries<'a>,
    page: &'a P,
    /// The page's first position.
    start: usize,
    keys: &'a mut [f32],
    values: &'a mut [[f32; LANES]],
    running: &'a mut Running,
}

impl<P: Page> Kernel for AttendPage<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(mut self, s: S) {
        let queries = self.queries;
        self.page.keys(s, queries.kv_head, self.keys);
        let (stride, values) = (queries.stride() * LANES, self.values.as_flattened_mut());
        self.page.values(s, queries.kv_head, stride, values);
        let group = queries.group();
        let mut v = 0;
        while v < queries.vectors() {
            let seen = queries.seen(v / group, self.start);
            if seen.is_empty() {
                v += 1;
                continue;
            }
            // Vectors go together when they see the same: heads of a row, or rows that see all.
            let same = |others: usize| {
                let last = v + others;
                last < queries.vectors() && queries.seen(last / group, self.start) == seen
            };
            v += if const { S::QUERIES >= 4 } && same(3) {
                self.vectors::<S, 4>(s, v, seen)
            } else if const { S::QUERIES >= 2 } && same(1) {
                self.vectors::<S, 2>(s, v, seen)
            } else {
                self.vectors::<S, 1>(s, v, seen)
            };
        }
    }
}

impl<P> AttendPage<'_, P> {
    /// Handles query vectors `first..first + R`, which see the same positions; returns R.
    #[inline(always)]
    fn vectors<S: Lanes, const R: usize>(
        &mut self,
        s: S,
        first: usize,
        seen: Range<usize>,
    ) -> usize {
        let stride = self.queries.stride();
        let (mut weights, shrink) = self.scores::<S, R>(s, first, &seen);
        for weights in &mut weights {
            weights[..seen.start].fill(0.0);
            weights[seen.end..].fill(0.0);
        }
        for r in 0..R {
            let mut sum = s.splat_f(0.0);
            for lanes in weights[r].as_chunks::<LANES>().0 {
                sum = s.add_f(sum, s.load_f(lanes));
            }
            let state = &mut self.running.sum[first + r];
            *state = *state * shrink[r] + s.sum(sum);
        }
        let mut column = 0;
        while column < stride {
            let left = stride - column;
            column += if left >= 4 {
                self.accumulate::<S, R, 4>(s, first, &seen, &weights, shrink, column)
            } else if left >= 2 {
                self.accumulate::<S, R, 2>(s, first, &seen, &weights, shrink, column)
            } else {
                self.accumulate::<S, R, 1>(s, first, &seen, &weights, shrink, column)
            };
        }
        R
    }

    /// `e^(score − max)` of the page's positions, and what sums so far are to be multiplied by.
    #[inline(always)]
    fn scores<S: Lanes, const R: usize>(
        &mut self,
        s: S,
        first: usize,
        seen: &Range<usize>,
    ) -> ([[f32; PAGE]; R], [f32; R]) {
        let layer = self.queries.layer;
        let q: [&[f32]; R] = std::array::from_fn(|r| self.queries.vector(first + r));
        let mut scores = [[s.splat_f(0.0); VECTORS]; R];
        for (d, keys) in self.keys.as_chunks::<PAGE>().0.iter().enumerate() {
            let keys = keys.as_chunks::<LANES>().0;
            let mut lanes = [s.splat_f(0.0); VECTORS];
            for i in 0..VECTORS {
                lanes[i] = s.load_f(&keys[i]);
            }
            for r in 0..R {
                let q = s.splat_f(q[r][d]);
                for i in 0..VECTORS {
                    scores[r][i] = s.fma(q, lanes[i], scores[r][i]);
                }
            }
        }
        let mut out = [[0.0; PAGE]; R];
        let mut shrink = [1.0; R];
        for r in 0..R {
            let lanes = out[r].as_chunks_mut::<LANES>().0;
            for i in 0..VECTORS {
                let mut score = s.mul_f(scores[r][i], s.splat_f(layer.scale));
                if let Some(cap) = layer.softcap {
                    score = softcap(s, score, cap);
                }
                s.store_f(score, &mut lanes[i]);
            }
            out[r][..seen.start].fill(f32::NEG_INFINITY);
            out[r][seen.end..].fill(f32::NEG_INFINITY);
            let mut peak = s.splat_f(f32::NEG_INFINITY);
            for lanes in out[r].as_chunks::<LANES>().0 {
                peak = s.max_f(peak, s.load_f(lanes));
            }
            let peak = s.peak(peak);
            let max = &mut self.running.max[first + r];
            if peak > *max {
                shrink[r] = power(s, *max - peak);
                *max = peak;
            }
            let max = s.splat_f(*max);
            for lanes in out[r].as_chunks_mut::<LANES>().0 {
                let weight = exp(s, s.sub_f(s.load_f(lanes), max));
                s.store_f(weight, lanes);
            }
        }
        (out, shrink)
    }

    /// Adds weighted values to the vectors `column..column + C` of each accumulator; returns C.
    #[inline(always)]
    fn accumulate<S: Lanes, const R: usize, const C: usize>(
        &mut self,
        s: S,
        first: usize,
        seen: &Range<usize>,
        weights: &[[f32; PAGE]; R],
        shrink: [f32; R],
        column: usize,
    ) -> usize {
        let stride = self.queries.stride();
        let mut acc = [[s.splat_f(0.0); C]; R];
        for r in 0..R {
            let so_far = &self.running.acc[(first + r) * stride + column..][..C];
            for i in 0..C {
                acc[r][i] = s.mul_f(s.load_f(&so_far[i]), s.splat_f(shrink[r]));
            }
        }
        let rows = self.values.chunks_exact(stride).enumerate();
        for (j, row) in rows.take(seen.end).skip(seen.start) {
            let row = &row[column..column + C];
            let mut values = [s.splat_f(0.0); C];
            for i in 0..C {
                values[i] = s.load_f(&row[i]);
            }
            for r in 0..R {
                let weight = s.splat_f(weights[r][j]);
                for i in 0..C {
                    acc[r][i] = s.fma(weight, values[i], acc[r][i]);
                }
            }
        }
        for r in 0..R {
            let to = &mut self.running.acc[(first + r) * stride + column..][..C];
            for i in 0..C {
                s.store_f(acc[r][i], &mut to[i]);
            }
        }
        C
    }
}

/// `e^x` of one number.
#[inline(always)]
fn power<S: Lanes>(s: S, x: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    s.store_f(exp(s, s.splat_f(x)), &mut lanes);
    lanes[0]
}

/// Joins the softmaxes of a later split to those before it.
struct Join<'a> {
    total: &'a mut Running,
    other: &'a Running,
}

impl Kernel for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let Self { total, other } = self;
        let stride = total.acc.len() / total.max.len();
        for v in 0..total.max.len() {
            if other.sum[v] == 0.0 {
                continue; // nothing of that split is seen
            }
            let max = total.max[v].max(other.max[v]);
            let (keep, add) = (power(s, total.max[v] - max), power(s, other.max[v] - max));
            total.max[v] = max;
            total.sum[v] = total.sum[v] * keep + other.sum[v] * add;
            let (keep, add) = (s.splat_f(keep), s.splat_f(add));
            let acc = &mut total.acc[v * stride..][..stride];
            for (acc, from) in acc.iter_mut().zip(&other.acc[v * stride..][..stride]) {
                let kept = s.mul_f(s.load_f(acc), keep);
                s.store_f(s.fma(s.load_f(from), add, kept), acc);
            }
        }
    }
}
