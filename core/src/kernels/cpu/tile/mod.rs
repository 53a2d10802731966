//! Sixteen weight rows unpacked side by side, as the multiplication reads them.
//!
//! ```text
//! file: row 0  [d scales q q q q …][d scales q q q q …]     tile: q    [step][row][4 bytes]
//!       row 1  [d scales q q q q …][d scales q q q q …]           scale[group][row]
//!       …                                                         d    [row]
//! ```
//!
//! Lane `i` of every vector is row `i`: four bytes of each row meet four bytes of an activation
//! row in one instruction, scales multiply lane by lane, and no sum ever crosses lanes. Blocks are
//! transposed while they still are packed (16 bytes of 16 rows at a time), so that each vector of
//! nibbles gives two vectors of weights.
//!
//! Formats that real files are made of have an unpacker each, written once for all instruction
//! sets; the others are unpacked by their definition in [`crate::quant`] and transposed afterwards.

mod any;
mod float;
mod q4_0;
mod q4_k;
mod q5_0;
mod q5_k;
mod q6_k;
mod q8_0;

pub use any::{AnySimple, AnySuper};
pub use q4_0::Q4_0;
pub use q4_k::Q4K;
pub use q5_0::Q5_0;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
pub use q8_0::Q8_0;

use crate::quant::Format;

use super::lanes::{Kernel, LANES, Lanes, Rows};

/// One word of each row.
pub type Words = [i32; LANES];

/// One block of 256 weights of each of 16 rows.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct SuperTile {
    /// Weights, four to a word, XORed with [`Lanes::BIAS`].
    pub q: [Words; 64],
    /// What the weights' integers are multiplied by.
    pub head: SuperHead,
}

/// The scales of a block of 256 weights of each of 16 rows.
#[derive(Clone, Default)]
#[repr(C, align(64))]
pub struct SuperHead {
    /// The scale of each group of 16 or 32 weights ([`Shape`] says which).
    pub scale: [Words; 16],
    /// The minimums of two groups, as i16, in a word.
    pub min: [Words; 8],
    /// The scale of the scales.
    pub d: [f32; LANES],
    /// The scale of the minimums.
    pub dmin: [f32; LANES],
}

/// One block of 32 weights of each of 16 rows.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct SimpleTile {
    /// Weights, four to a word, XORed with [`Lanes::BIAS`].
    pub q: [Words; 8],
    /// The scale.
    pub d: [f32; LANES],
    /// What is added to every weight.
    pub m: [f32; LANES],
}

/// Eight weights of each of 16 rows, plain numbers.
#[derive(Clone, Default)]
#[repr(C, align(64))]
pub struct FloatTile {
    /// The weights.
    pub w: [[f32; LANES]; FLOAT_COLS],
}

/// Columns of a [`FloatTile`].
pub const FLOAT_COLS: usize = 8;

impl Default for SuperTile {
    fn default() -> Self {
        Self {
            q: [[0; LANES]; 64],
            head: SuperHead::default(),
        }
    }
}

impl Default for SimpleTile {
    fn default() -> Self {
        Self {
            q: [[0; LANES]; 8],
            d: [0.0; LANES],
            m: [0.0; LANES],
        }
    }
}

/// How a format's tiles are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// [`SuperTile`]s with a scale and a minimum for each 32 weights.
    Super32Min,
    /// [`SuperTile`]s with a scale and a minimum for each 16 weights.
    Super16Min,
    /// [`SuperTile`]s with a scale for each 16 weights.
    Super16,
    /// [`SimpleTile`]s with an additive constant.
    SimpleMin,
    /// [`SimpleTile`]s.
    Simple,
    /// [`FloatTile`]s.
    Float,
}

impl Shape {
    /// The shape of a format.
    pub fn of(format: &Format) -> Self {
        with_unpacker!(format,
            supers: |unpacker| Self::of_super(unpacker),
            simples: |unpacker| Self::of_simple(unpacker),
            floats: Self::Float
        )
    }

    const fn of_super<U: SuperFormat>(_: U) -> Self {
        match (U::GROUP, U::MIN) {
            (32, true) => Self::Super32Min,
            (16, true) => Self::Super16Min,
            (16, false) => Self::Super16,
            _ => panic!("groups of 32 without minimums have no tiles yet"),
        }
    }

    const fn of_simple<U: SimpleFormat>(_: U) -> Self {
        if U::MIN {
            Self::SimpleMin
        } else {
            Self::Simple
        }
    }

    /// Bytes of a tile in a row, having checked that `rows` have that many tiles: what the
    /// unpackers' windows rely on. (A row of plain numbers may end within a tile.)
    #[inline(always)]
    pub fn check(self, format: &Format, rows: &Rows<'_>, tiles: usize) -> usize {
        let bytes = self.cols() / format.block_len * format.block_bytes;
        assert!(tiles * bytes <= rows.len() || self == Self::Float);
        bytes
    }

    /// Columns of one tile.
    pub fn cols(self) -> usize {
        match self {
            Self::Super32Min | Self::Super16Min | Self::Super16 => 256,
            Self::SimpleMin | Self::Simple => 32,
            Self::Float => FLOAT_COLS,
        }
    }
}

/// Room for tiles of any shape, kept by each thread.
#[derive(Default)]
pub struct Tiles {
    /// Of super-block formats.
    pub supers: Vec<SuperTile>,
    /// Of 32-weight formats.
    pub simples: Vec<SimpleTile>,
    /// Of plain numbers.
    pub floats: Vec<FloatTile>,
}

impl Tiles {
    /// Makes room for `count` tiles of a shape.
    pub fn reserve(&mut self, shape: Shape, count: usize) {
        fn grow<T: Default + Clone>(tiles: &mut Vec<T>, count: usize) {
            if tiles.len() < count {
                tiles.resize(count, T::default());
            }
        }
        match shape {
            Shape::Super32Min | Shape::Super16Min | Shape::Super16 => grow(&mut self.supers, count),
            Shape::SimpleMin | Shape::Simple => grow(&mut self.simples, count),
            Shape::Float => grow(&mut self.floats, count),
        }
    }
}

/// What takes the weights of a block as they are unpacked, 16 rows side by side.
///
/// Scales come before weights, and the weights of a group one after the other.
pub trait Sink<S: Lanes> {
    /// Four words of weights of each row, XORed with [`Lanes::BIAS`]: those from word `at` on.
    fn words(&mut self, s: S, at: usize, w: [S::I; 4]);
    /// The scale of a group (blocks of 256).
    fn scale(&mut self, s: S, group: usize, scale: S::I);
    /// The minimums of two groups, as i16 (blocks of 256).
    fn mins(&mut self, s: S, pair: usize, mins: S::I);
    /// The scale, or the scale of the scales.
    fn d(&mut self, s: S, d: S::F);
    /// What is added to every weight, or the scale of the minimums.
    fn m(&mut self, s: S, m: S::F);
}

impl<S: Lanes> Sink<S> for SuperTile {
    #[inline(always)]
    fn words(&mut self, s: S, at: usize, w: [S::I; 4]) {
        for (to, w) in self.q[at..at + 4].iter_mut().zip(w) {
            s.store(w, to);
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

impl SuperHead {
    /// See [`Sink::scale`].
    #[inline(always)]
    pub fn scale<S: Lanes>(&mut self, s: S, group: usize, scale: S::I) {
        s.store(scale, &mut self.scale[group]);
    }

    /// See [`Sink::mins`].
    #[inline(always)]
    pub fn mins<S: Lanes>(&mut self, s: S, pair: usize, mins: S::I) {
        s.store(mins, &mut self.min[pair]);
    }
}

impl<S: Lanes> Sink<S> for SimpleTile {
    #[inline(always)]
    fn words(&mut self, s: S, at: usize, w: [S::I; 4]) {
        for (to, w) in self.q[at..at + 4].iter_mut().zip(w) {
            s.store(w, to);
        }
    }

    #[inline(always)]
    fn scale(&mut self, _: S, _: usize, _: S::I) {}

    #[inline(always)]
    fn mins(&mut self, _: S, _: usize, _: S::I) {}

    #[inline(always)]
    fn d(&mut self, s: S, d: S::F) {
        s.store_f(d, &mut self.d);
    }

    #[inline(always)]
    fn m(&mut self, s: S, m: S::F) {
        s.store_f(m, &mut self.m);
    }
}

/// A format of blocks of 256 weights, as the kernels unpack it.
pub trait SuperFormat: Copy {
    /// Weights that share a scale: 16 or 32.
    const GROUP: usize;
    /// Whether groups have minimums.
    const MIN: bool;
    /// Cache lines that a block may take: [`lines`] of its bytes.
    const LINES: usize;

    /// Unpacks the block at byte `at` of each row.
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>);
}

/// A format of blocks of 32 weights, as the kernels unpack it.
pub trait SimpleFormat: Copy {
    /// Whether something is added to every weight.
    const MIN: bool;
    /// Cache lines that eight blocks may take: [`lines`] of their bytes.
    const LINES: usize;

    /// Unpacks the block at byte `at` of each row.
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>);
}

/// Does the same with the unpacker of a format, whichever it is.
macro_rules! with_unpacker {
    ($format:expr, supers: |$super:ident| $on_super:expr, simples: |$simple:ident| $on_simple:expr,
     floats: $on_float:expr) => {{
        use $crate::gguf::TensorType;
        use $crate::kernels::cpu::tile::{AnySimple, AnySuper, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
        use $crate::quant::Ints;
        macro_rules! with_super {
            ($unpacker:expr) => {{
                let $super = $unpacker;
                $on_super
            }};
        }
        macro_rules! with_simple {
            ($unpacker:expr) => {{
                let $simple = $unpacker;
                $on_simple
            }};
        }
        let bytes = $format.block_bytes;
        match ($format.ty, $format.ints) {
            (TensorType::Q4K, _) => with_super!(Q4K),
            (TensorType::Q5K, _) => with_super!(Q5K),
            (TensorType::Q6K, _) => with_super!(Q6K),
            (_, Ints::Super(unpack)) => with_super!(AnySuper(unpack, bytes)),
            (TensorType::Q4_0, _) => with_simple!(Q4_0),
            (TensorType::Q5_0, _) => with_simple!(Q5_0),
            (TensorType::Q8_0, _) => with_simple!(Q8_0),
            (_, Ints::Simple(unpack)) => with_simple!(AnySimple(unpack, bytes)),
            (_, Ints::Float) => $on_float,
        }
    }};
}
pub(super) use with_unpacker;

/// Unpacks the eight plain numbers at byte `at` of each row, or what is left of it.
#[inline(always)]
pub fn unpack_float<S: Lanes>(
    s: S,
    format: &Format,
    rows: &Rows<'_>,
    at: usize,
    out: &mut FloatTile,
) {
    if at + FLOAT_COLS * format.block_bytes <= rows.len() {
        float::unpack(s, format, rows, at, out);
    } else {
        float::unpack_rest(format, rows, at, out);
    }
}

/// Fills `tiles[first..first + count]` with the tiles `tile..tile + count` of 16 rows.
pub struct Unpack<'a> {
    /// The rows.
    pub rows: Rows<'a>,
    /// Their format.
    pub format: &'static Format,
    /// The first tile, counted from the rows' beginning.
    pub tile: usize,
    /// Tiles to unpack.
    pub count: usize,
    /// Rows to ask the memory for meanwhile: those that are unpacked next.
    pub ahead: Option<Rows<'a>>,
    /// Where to.
    pub tiles: &'a mut Tiles,
    /// The first tile to write.
    pub first: usize,
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (format, rows) = (self.format, &self.rows);
        let shape = Shape::of(format);
        let bytes = shape.check(format, rows, self.tile + self.count);
        let tiles = self.first..self.first + self.count;
        macro_rules! each {
            ($room:ident, $together:literal, $lines:expr, |$at:ident, $out:ident| $unpack:expr) => {
                let ahead = Ahead::<$together>::new(self.ahead, *rows, bytes);
                for (i, $out) in self.tiles.$room[tiles].iter_mut().enumerate() {
                    ahead.ask_all(s, self.tile + i, $lines);
                    let $at = (self.tile + i) * bytes;
                    $unpack;
                }
            };
        }
        with_unpacker!(format,
            supers: |super_| {
                each!(supers, 1, lines_of_super(super_), |at, out| super_.unpack(s, rows, at, out));
            },
            simples: |simple| {
                each!(simples, 8, lines_of_simple(simple), |at, out| simple.unpack(s, rows, at, out));
            },
            floats: {
                each!(floats, 8, FLOAT_LINES, |at, out| unpack_float(s, format, rows, at, out));
            }
        );
    }
}

/// Memory that is asked for while other rows are in work: a bit of one row at a time, so that requests
/// are spread evenly and none has to wait for room. Asking is a few instructions without a branch: one
/// between two products would have the activations of all that follow go through the stack.
///
/// `TILES` neighbouring tiles of a row are asked for together, 8 where they share cache lines.
#[derive(Clone, Copy)]
pub struct Ahead<'a, const TILES: usize> {
    rows: Rows<'a>,
    /// Bytes of a row that are asked for together.
    bytes: usize,
}

impl<'a, const TILES: usize> Ahead<'a, TILES> {
    /// Rows that are asked for during each tile.
    pub const ROWS: usize = LANES / TILES;

    /// Of the `next` rows while `rows` are in work; where there are no next ones, of these, which
    /// costs nothing. Tiles have `bytes` of each row.
    #[inline(always)]
    pub fn new(next: Option<Rows<'a>>, rows: Rows<'a>, bytes: usize) -> Self {
        Self {
            rows: next.unwrap_or(rows),
            bytes: bytes * TILES,
        }
    }

    /// Asks for `lines` cache lines of row `row` (of those of this tile, counted from 0) that belong
    /// to tile `tile`.
    #[inline(always)]
    pub fn ask<S: Lanes>(&self, s: S, tile: usize, row: usize, lines: usize) {
        let row = tile % TILES * Self::ROWS + row;
        let start = self.rows.address(row, tile / TILES * self.bytes);
        for line in 0..lines {
            s.prefetch(start.wrapping_add(LINE * line));
        }
    }

    /// Asks for all that belongs to tile `tile`.
    #[inline(always)]
    pub fn ask_all<S: Lanes>(&self, s: S, tile: usize, lines: usize) {
        for row in 0..Self::ROWS {
            self.ask(s, tile, row, lines);
        }
    }
}

/// Cache lines that eight tiles of plain numbers may take.
pub const FLOAT_LINES: usize = 4;

const fn lines_of_super<U: SuperFormat>(_: U) -> usize {
    U::LINES
}

const fn lines_of_simple<U: SimpleFormat>(_: U) -> usize {
    U::LINES
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Cache lines that `bytes` of a row may take; three at least.
const fn lines(bytes: usize) -> usize {
    let lines = bytes.div_ceil(LINE);
    if lines < 3 { 3 } else { lines }
}

/// Four bytes that are `BY` too high, from 0 to `127 + BY`, as weights with [`Lanes::BIAS`].
#[inline(always)]
fn shifted<S: Lanes, const BY: u8>(s: S, w: S::I) -> S::I {
    // Less BY and more 128, no byte carries into the next; and 128 is the top bit.
    let w = s.add(w, s.splat(i32::from_ne_bytes([128 - BY; 4])));
    s.xor(w, s.splat(i32::from_ne_bytes([0x80 ^ S::BIAS; 4])))
}
