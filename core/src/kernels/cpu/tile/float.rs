//! F32, F16 and BF16: elements to f32, a column of 16 rows to a vector.

use crate::gguf::TensorType;
use crate::kernels::cpu::lanes::{LANES, Lanes, Rows};
use crate::quant::Format;

use super::{FLOAT_COLS, FloatTile};

/// Unpacks the eight elements at byte `at` of each row.
#[inline(always)]
pub fn unpack<S: Lanes>(s: S, format: &Format, rows: &Rows<'_>, at: usize, out: &mut FloatTile) {
    match format.ty {
        TensorType::F32 => {
            for half in 0..2 {
                let words = s.gather(rows, at + 16 * half);
                for (k, w) in words.into_iter().enumerate() {
                    s.store_f(s.as_f32(w), &mut out.w[4 * half + k]);
                }
            }
        }
        TensorType::F16 => {
            for (k, w) in s.gather(rows, at).into_iter().enumerate() {
                s.store_f(s.half(w), &mut out.w[2 * k]);
                s.store_f(s.half(s.shr(w, 16)), &mut out.w[2 * k + 1]);
            }
        }
        TensorType::BF16 => {
            let upper = s.splat(0xffff_0000_u32 as i32);
            for (k, w) in s.gather(rows, at).into_iter().enumerate() {
                s.store_f(s.as_f32(s.shl(w, 16)), &mut out.w[2 * k]);
                s.store_f(s.as_f32(s.and(w, upper)), &mut out.w[2 * k + 1]);
            }
        }
        _ => unpack_rest(format, rows, at, out),
    }
}

/// Unpacks the up to eight elements that follow byte `at` of each row; what is missing is 0.
pub fn unpack_rest(format: &Format, rows: &Rows<'_>, at: usize, out: &mut FloatTile) {
    let end = rows.len().min(at + FLOAT_COLS * format.block_bytes);
    let count = (end - at) / format.block_bytes;
    let mut row = [0.0; FLOAT_COLS];
    for i in 0..LANES {
        (format.dequantize)(&rows.row(i)[at..end], &mut row[..count]);
        for (column, w) in out.w.iter_mut().zip(row) {
            column[i] = w;
        }
    }
}
