//! Tiles times activations: the one place where weights meet numbers.
//!
//! Within a block everything is an integer and exact. Across blocks there is one fused
//! multiply-add for each, in the order of the blocks, so a product does not depend on how many
//! activation rows are multiplied together or on the instruction set.

use super::activations::{Activations, Block32, Block256};
use super::lanes::{Kernel, LANES, Lanes};
use super::tile::{FLOAT_COLS, FloatTile, Shape, SimpleTile, SuperHead, SuperTile, Tiles};

/// The sums of 16 weight rows with one activation row.
pub type Sums = [f32; LANES];

/// Adds to `sums[t]` the products of `count` tiles with activation row `token + t`.
pub struct Multiply<'a> {
    /// The tiles' shape.
    pub shape: Shape,
    /// Where they are.
    pub tiles: &'a Tiles,
    /// The first of them.
    pub first: usize,
    /// How many there are.
    pub count: usize,
    /// The activations.
    pub x: &'a Activations,
    /// The first tile's place in a row.
    pub tile: usize,
    /// The activation row of `sums[0]`.
    pub token: usize,
    /// Sums so far.
    pub sums: &'a mut [Sums],
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(mut self, s: S) {
        let mut done = 0;
        while done < self.sums.len() {
            let left = self.sums.len() - done;
            done += if const { S::TOKENS >= 8 } && left >= 8 {
                self.rows::<S, 8>(s, done)
            } else if const { S::TOKENS >= 4 } && left >= 4 {
                self.rows::<S, 4>(s, done)
            } else if const { S::TOKENS >= 2 } && left >= 2 {
                self.rows::<S, 2>(s, done)
            } else {
                self.rows::<S, 1>(s, done)
            };
        }
    }
}

impl Multiply<'_> {
    /// Handles `sums[at..at + T]`; returns T.
    #[inline(always)]
    fn rows<S: Lanes, const T: usize>(&mut self, s: S, at: usize) -> usize {
        let tiles = self.first..self.first + self.count;
        let columns = self.tile..self.tile + self.count;
        let (x, token) = (self.x, self.token + at);
        let sums = self.sums[at..].first_chunk_mut::<T>().expect("T rows");
        macro_rules! all {
            ($tiles:ident, $blocks:ident, $per_row:expr, $product:expr) => {{
                let per_row = $per_row;
                let x: [_; T] = std::array::from_fn(|t| {
                    &x.$blocks[(token + t) * per_row..][..per_row][columns.clone()]
                });
                let mut acc = load(s, sums);
                for (i, tile) in self.tiles.$tiles[tiles].iter().enumerate() {
                    acc = $product(s, tile, std::array::from_fn(|t| &x[t][i]), acc);
                }
                for t in 0..T {
                    s.store_f(acc[t], &mut sums[t]);
                }
            }};
        }
        let (per32, per256) = (x.cols / 32, x.cols / 256);
        match self.shape {
            Shape::Super32Min => all!(supers, blocks256, per256, super_block::<S, T, 32, true>),
            Shape::Super16Min => all!(supers, blocks256, per256, super_block::<S, T, 16, true>),
            Shape::Super16 => all!(supers, blocks256, per256, super_block::<S, T, 16, false>),
            Shape::SimpleMin => all!(simples, blocks32, per32, simple_block::<S, T, true>),
            Shape::Simple => all!(simples, blocks32, per32, simple_block::<S, T, false>),
            Shape::Float => {
                let width = x.cols.next_multiple_of(FLOAT_COLS);
                let x: [&[f32]; T] =
                    std::array::from_fn(|t| &x.floats[(token + t) * width..][..width]);
                let mut acc = load(s, sums);
                for (tile, column) in self.tiles.floats[tiles].iter().zip(columns) {
                    acc = float_block(s, tile, x.map(|x| &x[column * FLOAT_COLS..]), acc);
                }
                for t in 0..T {
                    s.store_f(acc[t], &mut sums[t]);
                }
            }
        }
        T
    }
}

#[inline(always)]
fn load<S: Lanes, const T: usize>(s: S, sums: &[Sums; T]) -> [S::F; T] {
    let mut lanes = [s.splat_f(0.0); T];
    for t in 0..T {
        lanes[t] = s.load_f(&sums[t]);
    }
    lanes
}

/// `acc + x.d · (d · Σ scale·Σ q·x − dmin · Σ min·Σ x)`, integers up to the products with d and dmin.
#[inline(always)]
fn super_block<S: Lanes, const T: usize, const GROUP: usize, const MIN: bool>(
    s: S,
    tile: &SuperTile,
    x: [&Block256; T],
    acc: [S::F; T],
) -> [S::F; T] {
    let steps = GROUP / 4;
    let mut total = [s.splat(0); T];
    for g in 0..256 / GROUP {
        let group = g * steps..(g + 1) * steps;
        let start = x.map(|x| x.start(GROUP, g));
        let dot = s.dot_group(
            &tile.q[group.clone()],
            x.map(|x| &x.q[group.clone()]),
            start,
        );
        let scale = s.load(&tile.head.scale[g]);
        for t in 0..T {
            total[t] = s.add(total[t], s.mul(dot[t], scale));
        }
    }
    settle_super(s, &tile.head, total, x, acc, GROUP, MIN)
}

/// `acc + x.d · (d · total − dmin · Σ min·Σ x)`, for `total = Σ scale·Σ q·x`.
#[inline(always)]
pub fn settle_super<S: Lanes, const T: usize>(
    s: S,
    head: &SuperHead,
    total: [S::I; T],
    x: [&Block256; T],
    acc: [S::F; T],
    group: usize,
    min: bool,
) -> [S::F; T] {
    let d = s.load_f(&head.d);
    let dmin = s.sub_f(s.splat_f(0.0), s.load_f(&head.dmin));
    let mut out = acc;
    for t in 0..T {
        let mut value = s.mul_f(d, s.to_f32(total[t]));
        if min {
            let mut mins = s.splat(0);
            for pair in 0..128 / group {
                let sums = s.splat(x[t].sums(group, pair));
                mins = s.dot2(mins, s.load(&head.min[pair]), sums);
            }
            value = s.fma(dmin, s.to_f32(mins), value);
        }
        out[t] = s.fma(s.splat_f(x[t].d), value, acc[t]);
    }
    out
}

/// `acc + d·x.d · Σ q·x + m · x.sum`.
#[inline(always)]
fn simple_block<S: Lanes, const T: usize, const MIN: bool>(
    s: S,
    tile: &SimpleTile,
    x: [&Block32; T],
    acc: [S::F; T],
) -> [S::F; T] {
    let dot = s.dot_group(&tile.q, x.map(|x| &x.q[..]), x.map(|x| x.start));
    let (d, m) = (s.load_f(&tile.d), s.load_f(&tile.m));
    settle_simple(s, d, m, dot, x, acc, MIN)
}

/// `acc + d·x.d · dot + m · x.sum`, for `dot = Σ q·x`.
#[inline(always)]
pub fn settle_simple<S: Lanes, const T: usize>(
    s: S,
    d: S::F,
    m: S::F,
    dot: [S::I; T],
    x: [&Block32; T],
    acc: [S::F; T],
    min: bool,
) -> [S::F; T] {
    let mut out = acc;
    for t in 0..T {
        let step = s.mul_f(d, s.splat_f(x[t].d));
        out[t] = s.fma(step, s.to_f32(dot[t]), acc[t]);
        if min {
            out[t] = s.fma(m, s.splat_f(x[t].sum), out[t]);
        }
    }
    out
}

/// `acc + Σ w·x`, one column after the other.
#[inline(always)]
pub fn float_block<S: Lanes, const T: usize>(
    s: S,
    tile: &FloatTile,
    x: [&[f32]; T],
    acc: [S::F; T],
) -> [S::F; T] {
    let mut out = acc;
    for (column, w) in tile.w.iter().enumerate() {
        let w = s.load_f(w);
        for t in 0..T {
            out[t] = s.fma(w, s.splat_f(x[t][column]), out[t]);
        }
    }
    out
}
