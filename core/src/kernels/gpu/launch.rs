//! Arguments and grids of kernel launches.
#![allow(unsafe_code)]

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::Engine;

/// A buffer a kernel reads: `len` elements of the type the kernel declares.
pub(super) fn input(handle: &Handle, len: usize) -> BufferArg {
    // SAFETY: callers pass the length the buffer was created with, in the kernel's element type.
    unsafe { BufferArg::from_raw_parts(handle.clone(), len) }
}

/// A buffer a kernel writes: `len` elements of the type the kernel declares.
pub(super) fn output(handle: &Handle, len: usize) -> BufferArg {
    input(handle, len)
}

/// A grid of `tiles` workgroups in its first two dimensions (which may exceed `tiles`: kernels
/// check) times `depth` in the third. One dimension holds 65,535 workgroups on common devices.
pub(super) fn grid(engine: &Engine, tiles: usize, depth: usize) -> CubeCount {
    let most = engine.grid_width();
    let height = tiles.div_ceil(most);
    let width = tiles.div_ceil(height);
    CubeCount::Static(width as u32, height as u32, depth as u32)
}
