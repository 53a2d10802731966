//! Quantized matrix times activations: `[n, cols] · [rows, cols]ᵀ → [n, rows]`, 16 weight rows (a
//! panel) at a time.
//!
//! With a few activation rows packed weights are multiplied as they come ([`super::direct`]). With
//! many, a stretch of tiles of some panels is unpacked into the inner caches and multiplied with
//! every row; the sums of the panels stay in memory between stretches. None of this changes the
//! order in which one sum is added up, so a row's result does not depend on it.

use std::cell::RefCell;
use std::ops::Range;

use crate::kernels::{Activation, Matrix};

use super::Engine;
use super::activations::Activations;
use super::direct::{self, FEW, Panel};
use super::elementwise::{Finish, FinishPanel};
use super::lanes::{LANES, Rows};
use super::multiply::{Multiply, Sums};
use super::parts::Parts;
use super::tile::{FLOAT_COLS, FloatTile, Shape, SimpleTile, SuperTile, Tiles, Unpack};

/// Columns unpacked at a time: with [`PANELS`] the tiles are 92 KiB.
const COLS: usize = 2048;

/// Panels unpacked together.
const PANELS: usize = 2;

/// Activation rows that go through a stretch of tiles together, while they are in the first-level
/// cache; a multiple of every [`super::lanes::Lanes::TOKENS`].
const TOKENS: usize = 8;

/// What is computed from the sums of panels.
pub enum Product<'a> {
    /// `x · wᵀ`, finished.
    Linear {
        /// The weights.
        w: &'a Matrix,
        /// What happens to the sums.
        finish: Finish<'a>,
    },
    /// `activation(x · gateᵀ) · (x · upᵀ)`.
    Gated {
        /// Weights of the gate.
        gate: &'a Matrix,
        /// Weights of what it gates; of the same shape.
        up: &'a Matrix,
        /// Applied to the gate.
        activation: Activation,
    },
}

impl Product<'_> {
    /// Output features.
    pub fn rows(&self) -> usize {
        match self {
            Self::Linear { w, .. } => w.rows,
            Self::Gated { gate, .. } => gate.rows,
        }
    }

    /// The matrix whose panel is read first.
    fn first_matrix(&self) -> &Matrix {
        match self {
            Self::Linear { w, .. } => w,
            Self::Gated { gate, .. } => gate,
        }
    }
}

/// Room of a thread: tiles, and the sums of the panels in work.
#[derive(Default)]
struct Room {
    tiles: Tiles,
    sums: Vec<Sums>,
    gates: Vec<Sums>,
}

/// Bytes of a thread's room for batches of up to `n` rows, with tiles of every shape.
pub fn room_bytes(n: usize) -> usize {
    let tiles = |cols: usize, bytes: usize| PANELS * (COLS / cols) * bytes;
    tiles(256, size_of::<SuperTile>())
        + tiles(32, size_of::<SimpleTile>())
        + tiles(FLOAT_COLS, size_of::<FloatTile>())
        + 2 * PANELS * n * size_of::<Sums>()
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// Computes all products of the same activations in one parallel region, each `[n, rows]`.
pub fn products(engine: &Engine, x: &Activations, products: &[Product<'_>]) -> Vec<Vec<f32>> {
    let mut outs: Vec<Vec<f32>> = products.iter().map(|p| vec![0.0; p.rows() * x.n]).collect();
    let parts: Vec<Parts<'_, f32>> = outs.iter_mut().map(|out| Parts::new(out)).collect();
    // Panels of all products in one row of numbers, so that no thread waits between them.
    let starts: Vec<usize> = products
        .iter()
        .scan(0, |next, p| {
            let start = *next;
            *next += p.rows().div_ceil(LANES);
            Some(start)
        })
        .collect();
    let total = products.iter().map(|p| p.rows().div_ceil(LANES)).sum();
    let step = if x.n <= FEW { 1 } else { PANELS };
    // The product that a panel belongs to, and which of its panels it is.
    let place = |panel: usize| {
        let product = starts.partition_point(|start| *start <= panel) - 1;
        (product, panel - starts[product])
    };
    engine.pool.run_ranges(total, step, &|range, next| {
        ROOM.with_borrow_mut(|room| {
            let mut panel = range.start;
            while panel < range.end {
                let (i, first) = place(panel);
                let product = &products[i];
                let count = step.min(product.rows().div_ceil(LANES) - first);
                let count = count.min(range.end - panel);
                panel += count;
                let ahead = if panel < range.end { panel } else { next };
                let ahead = (ahead < total).then(|| {
                    let (i, panel) = place(ahead);
                    products[i].first_matrix().panel(panel)
                });
                let panels = first..first + count;
                panel_product(engine, room, x, product, panels, ahead.flatten(), &parts[i]);
            }
        });
    });
    outs
}

/// The `panels` of one product, written to their places in `out[n, rows]`.
fn panel_product(
    engine: &Engine,
    room: &mut Room,
    x: &Activations,
    product: &Product<'_>,
    panels: Range<usize>,
    ahead: Option<Rows<'_>>,
    out: &Parts<'_, f32>,
) {
    let first = panels.start * LANES;
    let (rows, finish) = match product {
        Product::Linear { w, finish } => {
            panel_sums(engine, &mut room.tiles, &mut room.sums, x, w, panels, ahead);
            (w.rows, *finish)
        }
        Product::Gated {
            gate,
            up,
            activation,
        } => {
            let (tiles, then) = (&mut room.tiles, up.panel(panels.start));
            panel_sums(
                engine,
                tiles,
                &mut room.gates,
                x,
                gate,
                panels.clone(),
                then,
            );
            panel_sums(engine, tiles, &mut room.sums, x, up, panels, ahead);
            let finish = Finish::Gate {
                gates: &room.gates,
                activation: *activation,
            };
            (gate.rows, finish)
        }
    };
    engine.level.run(FinishPanel {
        sums: &room.sums,
        finish,
        n: x.n,
        rows,
        first,
        out,
    });
}

/// The sums of `panels` with every row of `x`: `sums[panel][n]`.
fn panel_sums(
    engine: &Engine,
    tiles: &mut Tiles,
    sums: &mut Vec<Sums>,
    x: &Activations,
    w: &Matrix,
    panels: Range<usize>,
    ahead: Option<Rows<'_>>,
) {
    let (n, count, format) = (x.n, panels.len(), w.format);
    sums.clear();
    sums.resize(count * n, [0.0; LANES]);
    // A panel that is short of rows is filled up with zeros, blocks of which are numbers too.
    let mut last = Vec::new();
    if panels.end * LANES > w.rows {
        last.extend_from_slice(&w.host()[(panels.end - 1) * LANES * w.row_bytes()..]);
        last.resize(LANES * w.row_bytes(), 0);
    }
    let rows = |panel: usize| match w.panel(panel) {
        Some(rows) => rows,
        None => Rows::new(&last, w.row_bytes()),
    };
    if n <= FEW {
        for (i, panel) in panels.clone().enumerate() {
            let panel = Panel {
                rows: rows(panel),
                format,
                ahead: if panel + 1 < panels.end {
                    w.panel(panel + 1)
                } else {
                    ahead
                },
                x,
            };
            direct::multiply(engine.level, panel, &mut sums[i * n..(i + 1) * n]);
        }
        return;
    }
    let shape = Shape::of(format);
    let total = w.cols.div_ceil(shape.cols());
    let stretch = (COLS / shape.cols()).min(total);
    tiles.reserve(shape, count * stretch);
    for tile in (0..total).step_by(stretch) {
        let stretch_len = stretch.min(total - tile);
        for (p, panel) in panels.clone().enumerate() {
            engine.level.run(Unpack {
                rows: rows(panel),
                format,
                tile,
                count: stretch_len,
                ahead: w.panel(panel + count),
                tiles,
                first: p * stretch,
            });
        }
        for token in (0..n).step_by(TOKENS) {
            let tokens = TOKENS.min(n - token);
            for p in 0..count {
                engine.level.run(Multiply {
                    shape,
                    tiles,
                    first: p * stretch,
                    count: stretch_len,
                    x,
                    tile,
                    token,
                    sums: &mut sums[p * n + token..][..tokens],
                });
            }
        }
    }
}

impl Matrix {
    /// The 16 rows of a whole panel.
    fn panel(&self, panel: usize) -> Option<Rows<'_>> {
        let bytes = LANES * self.row_bytes();
        let rows = self.host().get(panel * bytes..(panel + 1) * bytes)?;
        Some(Rows::new(rows, self.row_bytes()))
    }
}
