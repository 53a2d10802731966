//! Moving weights, caches and rotation angles to the device.
//!
//! A matrix becomes one buffer, or several when it is larger than one binding may be; this file is
//! the only place that splits, by rows. Bytes go up in pieces, so that no second copy of a matrix
//! ever lies in host memory.

use std::ops::Range;
use std::sync::Arc;

use cubecl::bytes::Bytes;
use cubecl::server::Handle;

use super::cache::DeviceKv;
use super::engine::{Engine, lacks_memory};
use super::layout::{GROUP, Layout, widen_simple, widen_super};
use super::rotate::DeviceRope;
use crate::error::{PocketError, Result};
use crate::kernels::kv::KvLayer;
use crate::kernels::rope::RopeTable;
use crate::kernels::weights::{Blocks, Matrix, Values, Vector};
use crate::quant::{Ints, SimpleBlock, SuperBlock};

/// Bytes sent at a time.
const PIECE: usize = 8 << 20;

/// Bytes a buffer has beyond its rows, because kernels read unaligned words in pairs.
const SLACK: usize = 8;

/// A matrix on the device. Cloning shares the buffers.
#[derive(Clone)]
pub struct DeviceBlocks {
    pub(super) layout: Layout,
    /// Bytes of one row.
    pub(super) row_bytes: usize,
    /// Consecutive rows, in order.
    pub(super) parts: Arc<[Part]>,
}

/// Some rows of a matrix in one buffer.
pub(super) struct Part {
    pub(super) words: Handle,
    pub(super) bytes: usize,
    pub(super) first_row: usize,
    pub(super) rows: usize,
}

/// A vector of f32 on the device. Cloning shares the buffer.
#[derive(Clone)]
pub struct DeviceValues {
    pub(super) handle: Handle,
}

impl DeviceBlocks {
    /// Bytes of memory held on the device.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// Bytes that a matrix takes on a device once it is placed; 0 for one that no kernel reads.
pub fn placed_bytes(matrix: &Matrix) -> usize {
    let layout = Layout::of(matrix.format);
    layout.map_or(0, |layout| {
        matrix.rows * layout.row_blocks(matrix.cols) * layout.block_bytes()
    })
}

impl Engine {
    /// Copies a matrix to the device: blocks as they are in the file where a kernel reads them so,
    /// 8-bit integers with the block's scales otherwise. A matrix that is there already is
    /// returned as it is, so a table used twice should be placed once and cloned.
    ///
    /// # Errors
    /// [`PocketError::UnsupportedModel`] when the columns are no multiple of 4 (no model's are),
    /// [`PocketError::InsufficientMemory`] when the device has no room,
    /// [`PocketError::DeviceLost`] when it failed.
    pub fn place_matrix(&self, matrix: Matrix) -> Result<Matrix> {
        if matches!(matrix.blocks, Blocks::Device(_)) {
            return Ok(matrix);
        }
        let layout = Layout::of(matrix.format)
            .ok_or_else(|| PocketError::unsupported(format!("{} on a GPU", matrix.format.name)))?;
        if !matrix.cols.is_multiple_of(4) {
            let what = format!("a matrix with {} columns on a GPU", matrix.cols);
            return Err(PocketError::unsupported(what));
        }
        let row_bytes = layout.row_blocks(matrix.cols) * layout.block_bytes();
        let part_rows = (self.part_bytes().saturating_sub(SLACK) / row_bytes).min(matrix.rows);
        if part_rows == 0 && matrix.rows > 0 {
            return Err(self.no_room(row_bytes + SLACK));
        }
        let mut parts = Vec::new();
        for first_row in (0..matrix.rows).step_by(part_rows.max(1)) {
            let rows = part_rows.min(matrix.rows - first_row);
            let bytes = (rows * row_bytes).next_multiple_of(4) + SLACK;
            let words = self.reserve(bytes)?;
            // An even number of rows, so that a piece starts at a whole word.
            let piece_rows = (PIECE / row_bytes / 2 * 2).max(2);
            for first in (0..rows).step_by(piece_rows) {
                let piece = first..(first + piece_rows).min(rows);
                let absolute = first_row + piece.start..first_row + piece.end;
                let data = device_rows(&matrix, layout, row_bytes, absolute);
                self.fill(&words, first * row_bytes, data)?;
            }
            parts.push(Part {
                words,
                bytes,
                first_row,
                rows,
            });
        }
        Ok(Matrix {
            blocks: Blocks::Device(DeviceBlocks {
                layout,
                row_bytes,
                parts: parts.into(),
            }),
            ..matrix
        })
    }

    /// Copies a vector to the device.
    ///
    /// # Errors
    /// As [`Engine::place_matrix`].
    pub fn place_vector(&self, vector: Vector) -> Result<Vector> {
        let Values::Host(values) = &vector.values else {
            return Ok(vector);
        };
        // Norms read their weights in quads.
        let handle = self.reserve(vector.len.next_multiple_of(4) * 4)?;
        self.fill(&handle, 0, bytemuck::cast_slice(values).to_vec())?;
        Ok(Vector {
            len: vector.len,
            values: Values::Device(DeviceValues { handle }),
        })
    }

    /// An empty cache for one layer that holds up to `capacity` positions: two buffers of halves.
    ///
    /// # Errors
    /// [`PocketError::UnsupportedModel`] when `head_dim` is no multiple of 4,
    /// [`PocketError::InsufficientMemory`] when the device has no room or a buffer would be larger
    /// than a kernel can be given.
    pub fn kv_layer(&self, kv_heads: usize, head_dim: usize, capacity: usize) -> Result<KvLayer> {
        if !head_dim.is_multiple_of(4) {
            let what = format!("heads of {head_dim} elements on a GPU");
            return Err(PocketError::unsupported(what));
        }
        // A cache is rounded up to whole blocks of keys and never empty.
        let capacity = capacity.max(1).next_multiple_of(64);
        let bytes = kv_heads * head_dim * capacity * 2;
        Ok(KvLayer::Device(DeviceKv {
            keys: self.reserve(bytes)?,
            values: self.reserve(bytes)?,
            kv_heads,
            head_dim,
            capacity,
        }))
    }

    /// Copies the angles of a batch to the device.
    pub fn place_rope(&self, mut table: RopeTable) -> RopeTable {
        let half = table.dims / 2;
        let mut angles = Vec::with_capacity(table.n * table.dims);
        for row in 0..table.n {
            angles.extend_from_slice(&table.cos[row * half..(row + 1) * half]);
            angles.extend_from_slice(&table.sin[row * half..(row + 1) * half]);
        }
        let angles = self.client().create(Bytes::from_elems(angles));
        table.device = Some(DeviceRope { angles });
        table
    }

    /// A buffer that lives as long as the model or the session.
    fn reserve(&self, bytes: usize) -> Result<Handle> {
        if bytes > self.binding_bytes() {
            return Err(self.no_room(bytes));
        }
        let reserved = self.guarded(|client| {
            let handle = client.memory_persistent_allocation((), |()| client.empty(bytes));
            // Allocation is queued; this waits for it and brings its error.
            client.check([&handle]).map_err(|_| self.no_room(bytes))?;
            Ok(handle)
        });
        reserved.map_err(|error| match error {
            // wgpu reports a refused allocation by panicking on the device's thread.
            PocketError::DeviceLost { reason } if lacks_memory(&reason) => self.no_room(bytes),
            error => error,
        })
    }

    /// Sends bytes to a buffer, from `offset` on.
    fn fill(&self, buffer: &Handle, offset: usize, mut data: Vec<u8>) -> Result<()> {
        data.resize(data.len().next_multiple_of(4), 0);
        self.guarded(|client| {
            let past = buffer.size_in_used() - (offset + data.len()) as u64;
            let place = buffer.clone().offset_start(offset as u64).offset_end(past);
            client.write(&place, Bytes::from_bytes_vec(data));
            let failed = |error: cubecl::server::ServerError| PocketError::DeviceLost {
                reason: error.to_string(),
            };
            client.flush().map_err(failed)
        })
    }

    fn no_room(&self, needed: usize) -> PocketError {
        PocketError::InsufficientMemory {
            needed: needed as u64,
            available: self.binding_bytes() as u64,
        }
    }
}

impl Matrix {
    /// The blocks on the device.
    ///
    /// # Panics
    /// When the matrix is in host memory: matrices are placed when a model is loaded.
    pub(super) fn device(&self) -> &DeviceBlocks {
        match &self.blocks {
            Blocks::Device(blocks) => blocks,
            Blocks::Host(_) => unreachable!("a GPU kernel never meets a matrix in host memory"),
        }
    }
}

impl Vector {
    /// The buffer on the device.
    ///
    /// # Panics
    /// As [`Matrix::device`].
    pub(super) fn device(&self) -> &Handle {
        match &self.values {
            Values::Device(values) => &values.handle,
            Values::Host(_) => unreachable!("a GPU kernel never meets a vector in host memory"),
        }
    }
}

/// Some rows of a matrix in host memory, in the layout they have on the device.
fn device_rows(matrix: &Matrix, layout: Layout, row_bytes: usize, rows: Range<usize>) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() * row_bytes + 4);
    let block_bytes = matrix.format.block_bytes;
    for row in rows {
        let row = matrix.host_row(row);
        match (layout, matrix.format.ints) {
            (Layout::Simple, Ints::Simple(unpack)) => {
                let mut ints = SimpleBlock::default();
                for block in row.chunks_exact(block_bytes) {
                    unpack(block, &mut ints);
                    widen_simple(&ints, &mut out);
                }
            }
            (Layout::Super, Ints::Super(unpack)) => {
                let mut ints = SuperBlock::default();
                for block in row.chunks_exact(block_bytes) {
                    unpack(block, &mut ints);
                    widen_super(&ints, &mut out);
                }
            }
            _ => out.extend_from_slice(row),
        }
        // Plain numbers fill the last group of a row with zeros.
        if !matrix.cols.is_multiple_of(GROUP) {
            out.resize(out.len().next_multiple_of(row_bytes.max(1)), 0);
        }
    }
    out
}
