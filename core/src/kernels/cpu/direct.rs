//! A panel of packed weights times a few activation rows, without a tile in between: what decoding
//! and verification do. Weights go from the unpacker's registers into the products, and memory is
//! asked for the next panel meanwhile, so that reading it is all there is to wait for.
//!
//! Integers, and the order of floats, are those of [`super::multiply`]: the same bits.

use std::marker::PhantomData;

use crate::quant::Format;

use super::Level;
use super::activations::{Activations, Block32, Block256};
use super::lanes::{Kernel, Lanes, Rows};
use super::multiply::{Sums, float_block, settle_simple, settle_super};
use super::tile::{
    Ahead, FLOAT_COLS, FLOAT_LINES, FloatTile, Shape, SimpleFormat, Sink, SuperFormat, SuperHead,
    unpack_float, with_unpacker,
};

/// The most activation rows that go through a panel together.
pub const FEW: usize = 8;

/// A panel, and the activations to multiply it with.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    /// The rows.
    pub rows: Rows<'a>,
    /// Their format.
    pub format: &'static Format,
    /// The rows that come next, if any.
    pub ahead: Option<Rows<'a>>,
    /// The activations.
    pub x: &'a Activations,
}

/// `sums[t]` become the products of 16 rows with activation row `t`, for all rows of the
/// activations, of which there are [`FEW`] at most.
pub fn multiply(level: Level, panel: Panel<'_>, sums: &mut [Sums]) {
    // A kernel for each format: one for all of them would be a function of half a megabyte.
    with_unpacker!(panel.format,
        supers: |unpacker| level.run(AllTokens(panel.x.n, Supers { unpacker, panel, sums })),
        simples: |unpacker| level.run(AllTokens(panel.x.n, Simples { unpacker, panel, sums })),
        floats: level.run(AllTokens(panel.x.n, Floats { panel, sums }))
    );
}

/// Parts in which a sum of products is kept where there are few activation rows.
const CHAINS: usize = 2;

/// A kernel that handles `T` activation rows from row `token` on; the last row stands in for those
/// that are missing.
trait Tokens {
    fn tokens<S: Lanes, const T: usize>(&mut self, s: S, token: usize);
}

/// Handles this many activation rows, as many at a time as registers allow.
struct AllTokens<K>(usize, K);

impl<K: Tokens> Kernel for AllTokens<K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let Self(n, mut kernel) = self;
        let mut token = 0;
        while token < n {
            let left = n - token;
            if const { S::TOKENS >= 8 } && left > 4 {
                kernel.tokens::<S, 8>(s, token);
                token += 8;
            } else if const { S::TOKENS >= 4 } && left > 2 {
                kernel.tokens::<S, 4>(s, token);
                token += 4;
            } else if const { S::TOKENS >= 2 } && left > 1 {
                kernel.tokens::<S, 2>(s, token);
                token += 2;
            } else {
                kernel.tokens::<S, 1>(s, token);
                token += 1;
            }
        }
    }
}

/// `T` activation rows of `width` blocks from row `token` on, the last of all in place of those that
/// are missing.
#[inline(always)]
fn rows<B, const T: usize>(blocks: &[B], width: usize, token: usize) -> [&[B]; T] {
    let n = blocks.len() / width;
    std::array::from_fn(|t| &blocks[(token + t).min(n - 1) * width..][..width])
}

#[inline(always)]
fn store<S: Lanes, const T: usize>(s: S, acc: [S::F; T], sums: &mut [Sums]) {
    for (sums, acc) in sums.iter_mut().zip(acc) {
        s.store_f(acc, sums);
    }
}

struct Supers<'a, 's, U> {
    unpacker: U,
    panel: Panel<'a>,
    sums: &'s mut [Sums],
}

impl<U: SuperFormat> Tokens for Supers<'_, '_, U> {
    #[inline(always)]
    fn tokens<S: Lanes, const T: usize>(&mut self, s: S, token: usize) {
        let Panel {
            rows: w,
            format,
            ahead,
            x,
        } = &self.panel;
        let tiles = x.cols / 256;
        let bytes = Shape::of(format).check(format, w, tiles);
        let ahead = Ahead::new(*ahead, *w, bytes);
        let x = rows::<_, T>(&x.blocks256, tiles, token);
        let mut acc = [s.splat_f(0.0); T];
        let mut head = SuperHead::default();
        for tile in 0..tiles {
            let x = x.map(|x| &x[tile]);
            let mut sink = SuperDot::<S, U, T> {
                x,
                ahead: (ahead, tile),
                dot: [[s.splat(0); CHAINS]; T],
                total: [s.splat(0); T],
                head: &mut head,
                unpacker: PhantomData,
            };
            self.unpacker.unpack(s, w, tile * bytes, &mut sink);
            let total = sink.total;
            acc = settle_super(s, &head, total, x, acc, U::GROUP, U::MIN);
        }
        store(s, acc, &mut self.sums[token..]);
    }
}

struct Simples<'a, 's, U> {
    unpacker: U,
    panel: Panel<'a>,
    sums: &'s mut [Sums],
}

impl<U: SimpleFormat> Tokens for Simples<'_, '_, U> {
    #[inline(always)]
    fn tokens<S: Lanes, const T: usize>(&mut self, s: S, token: usize) {
        let Panel {
            rows: w,
            format,
            ahead,
            x,
        } = &self.panel;
        let tiles = x.cols / 32;
        let bytes = Shape::of(format).check(format, w, tiles);
        let ahead = Ahead::new(*ahead, *w, bytes);
        let x = rows::<_, T>(&x.blocks32, tiles, token);
        let mut acc = [s.splat_f(0.0); T];
        for tile in 0..tiles {
            let mut sink = SimpleDot::<S, U, T> {
                x: x.map(|x| &x[tile]),
                ahead: (ahead, tile),
                dot: [[s.splat(0); CHAINS]; T],
                d: s.splat_f(0.0),
                m: s.splat_f(0.0),
                unpacker: PhantomData,
            };
            self.unpacker.unpack(s, w, tile * bytes, &mut sink);
            let SimpleDot { x, dot, d, m, .. } = sink;
            let dot = join(s, dot);
            acc = settle_simple(s, d, m, dot, x, acc, U::MIN);
        }
        store(s, acc, &mut self.sums[token..]);
    }
}

struct Floats<'a, 's> {
    panel: Panel<'a>,
    sums: &'s mut [Sums],
}

impl Tokens for Floats<'_, '_> {
    #[inline(always)]
    fn tokens<S: Lanes, const T: usize>(&mut self, s: S, token: usize) {
        let Panel {
            rows: w,
            format,
            ahead,
            x,
        } = &self.panel;
        let tiles = x.cols.div_ceil(FLOAT_COLS);
        let bytes = Shape::of(format).check(format, w, tiles);
        let ahead = Ahead::<8>::new(*ahead, *w, bytes);
        let x = rows::<_, T>(&x.floats, tiles * FLOAT_COLS, token);
        let mut acc = [s.splat_f(0.0); T];
        let mut out = FloatTile::default();
        for tile in 0..tiles {
            ahead.ask_all(s, tile, FLOAT_LINES);
            unpack_float(s, format, w, tile * bytes, &mut out);
            acc = float_block(s, &out, x.map(|x| &x[tile * FLOAT_COLS..]), acc);
        }
        store(s, acc, &mut self.sums[token..]);
    }
}

/// How many parts of a sum are used beside `T` rows: eight sums in all keep the products busy.
const fn parts<const T: usize>() -> usize {
    if T * CHAINS <= 8 { CHAINS } else { 1 }
}

/// Sums that begin with `start`.
#[inline(always)]
fn begin<S: Lanes, const T: usize>(s: S, start: [i32; T]) -> [[S::I; CHAINS]; T] {
    let mut dot = [[s.splat(0); CHAINS]; T];
    for t in 0..T {
        dot[t][0] = s.splat(start[t]);
    }
    dot
}

/// `dot + Σ w·x`. Neighbouring products go to different sums and different rows: each waits for
/// several cycles for the one before it.
#[inline(always)]
fn add_products<S: Lanes, const T: usize>(
    s: S,
    mut dot: [[S::I; CHAINS]; T],
    w: [S::I; 4],
    x: [&[i32]; T],
) -> [[S::I; CHAINS]; T] {
    for k in 0..4 {
        let part = k % parts::<T>();
        for t in 0..T {
            dot[t][part] = s.dot4(dot[t][part], w[k], s.splat(x[t][k]));
        }
    }
    dot
}

/// The parts together.
#[inline(always)]
fn join<S: Lanes, const T: usize>(s: S, dot: [[S::I; CHAINS]; T]) -> [S::I; T] {
    let mut sums = [s.splat(0); T];
    for t in 0..T {
        sums[t] = match parts::<T>() {
            1 => dot[t][0],
            _ => s.add(dot[t][0], dot[t][1]),
        };
    }
    sums
}

/// Multiplies the weights of a block of 256 as they come.
struct SuperDot<'a, S: Lanes, U, const T: usize> {
    x: [&'a Block256; T],
    /// What to ask memory for, and the tile in work.
    ahead: (Ahead<'a, 1>, usize),
    /// `Σ q·x` of the group in work, in parts.
    dot: [[S::I; CHAINS]; T],
    /// `Σ scale·Σ q·x` of those before it.
    total: [S::I; T],
    head: &'a mut SuperHead,
    unpacker: PhantomData<U>,
}

impl<S: Lanes, U: SuperFormat, const T: usize> Sink<S> for SuperDot<'_, S, U, T> {
    #[inline(always)]
    fn words(&mut self, s: S, at: usize, w: [S::I; 4]) {
        self.ahead.0.ask(s, self.ahead.1, at / 4, U::LINES);
        let words = U::GROUP / 4;
        let group = at / words;
        if at.is_multiple_of(words) {
            self.dot = begin(s, self.x.map(|x| x.start(U::GROUP, group)));
        }
        self.dot = add_products(s, self.dot, w, self.x.map(|x| &x.q[at..at + 4]));
        if (at + 4).is_multiple_of(words) {
            let scale = s.load(&self.head.scale[group]);
            let dot = join(s, self.dot);
            for t in 0..T {
                self.total[t] = s.add(self.total[t], s.mul(dot[t], scale));
            }
        }
    }

    #[inline(always)]
    fn scale(&mut self, s: S, group: usize, scale: S::I) {
        self.head.scale(s, group, scale);
    }

    #[inline(always)]
    fn mins(&mut self, s: S, pair: usize, mins: S::I) {
        self.head.mins(s, pair, mins);
    }

    #[inline(always)]
    fn d(&mut self, s: S, d: S::F) {
        s.store_f(d, &mut self.head.d);
    }

    #[inline(always)]
    fn m(&mut self, s: S, m: S::F) {
        s.store_f(m, &mut self.head.dmin);
    }
}

/// Multiplies the weights of a block of 32 as they come.
struct SimpleDot<'a, S: Lanes, U, const T: usize> {
    x: [&'a Block32; T],
    /// What to ask memory for, and the tile in work.
    ahead: (Ahead<'a, 8>, usize),
    /// `Σ q·x`, in parts.
    dot: [[S::I; CHAINS]; T],
    d: S::F,
    m: S::F,
    unpacker: PhantomData<U>,
}

impl<S: Lanes, U: SimpleFormat, const T: usize> Sink<S> for SimpleDot<'_, S, U, T> {
    #[inline(always)]
    fn words(&mut self, s: S, at: usize, w: [S::I; 4]) {
        self.ahead.0.ask(s, self.ahead.1, at / 4, U::LINES);
        if at == 0 {
            self.dot = begin(s, self.x.map(|x| x.start));
        }
        self.dot = add_products(s, self.dot, w, self.x.map(|x| &x.q[at..at + 4]));
    }

    #[inline(always)]
    fn scale(&mut self, _: S, _: usize, _: S::I) {}

    #[inline(always)]
    fn mins(&mut self, _: S, _: usize, _: S::I) {}

    #[inline(always)]
    fn d(&mut self, _: S, d: S::F) {
        self.d = d;
    }

    #[inline(always)]
    fn m(&mut self, _: S, m: S::F) {
        self.m = m;
    }
}
