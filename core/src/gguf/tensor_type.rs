//! The tensor types of ggml, by the ids GGUF files use.

use std::fmt;

/// Declares the enum and its tables from one list, so that a type is one line.
macro_rules! tensor_types {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $len:literal, $bytes:literal;)*) => {
        /// How the elements of a tensor are stored: ggml's `ggml_type`.
        ///
        /// All types that ggml defines are known here, so that any file can be listed; which of
        /// them can be computed with is for [`crate::quant::format`] to say. Ids 4, 5, 31–33 and
        /// 36–38 belonged to types that ggml removed and are unknown.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum TensorType {
            $($(#[$doc])* $variant = $id,)*
        }

        impl TensorType {
            /// Every type, by ascending id.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name ggml gives the type, like `Q4_K`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Elements in a block: 1 for plain numbers, 32 or 256 for most block formats.
            pub const fn block_len(self) -> usize {
                match self { $(Self::$variant => $len,)* }
            }

            /// Bytes of a block.
            pub const fn block_bytes(self) -> usize {
                match self { $(Self::$variant => $bytes,)* }
            }

            /// The type with the given ggml id, if there is one.
            pub const fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The ggml id, as files store it.
            pub const fn id(self) -> u32 {
                self as u32
            }
        }
    };
}

tensor_types! {
    /// IEEE single precision.
    F32 = 0, "F32", 1, 4;
    /// IEEE half precision.
    F16 = 1, "F16", 1, 2;
    /// 4 bits, f16 scale for 32.
    Q4_0 = 2, "Q4_0", 32, 18;
    /// 4 bits, f16 scale and minimum for 32.
    Q4_1 = 3, "Q4_1", 32, 20;
    /// 5 bits, f16 scale for 32.
    Q5_0 = 6, "Q5_0", 32, 22;
    /// 5 bits, f16 scale and minimum for 32.
    Q5_1 = 7, "Q5_1", 32, 24;
    /// 8 bits, f16 scale for 32.
    Q8_0 = 8, "Q8_0", 32, 34;
    /// 8 bits, f16 scale and sum for 32: activations, not found in model files.
    Q8_1 = 9, "Q8_1", 32, 36;
    /// 2 bits, 16 sub-blocks of 16 with 4-bit scales and minimums.
    Q2K = 10, "Q2_K", 256, 84;
    /// 3 bits, 16 sub-blocks of 16 with 6-bit scales.
    Q3K = 11, "Q3_K", 256, 110;
    /// 4 bits, 8 sub-blocks of 32 with 6-bit scales and minimums.
    Q4K = 12, "Q4_K", 256, 144;
    /// 5 bits, 8 sub-blocks of 32 with 6-bit scales and minimums.
    Q5K = 13, "Q5_K", 256, 176;
    /// 6 bits, 16 sub-blocks of 16 with 8-bit scales.
    Q6K = 14, "Q6_K", 256, 210;
    /// 8 bits, f32 scale and sums for 256: activations, not found in model files.
    Q8K = 15, "Q8_K", 256, 292;
    /// 2.06 bits, codebook.
    IQ2XXS = 16, "IQ2_XXS", 256, 66;
    /// 2.31 bits, codebook.
    IQ2XS = 17, "IQ2_XS", 256, 74;
    /// 3.06 bits, codebook.
    IQ3XXS = 18, "IQ3_XXS", 256, 98;
    /// 1.56 bits, codebook.
    IQ1S = 19, "IQ1_S", 256, 50;
    /// 4 bits, non-linear levels, f16 scale for 32.
    IQ4NL = 20, "IQ4_NL", 32, 18;
    /// 3.44 bits, codebook.
    IQ3S = 21, "IQ3_S", 256, 110;
    /// 2.56 bits, codebook.
    IQ2S = 22, "IQ2_S", 256, 82;
    /// 4 bits, non-linear levels, 8 sub-blocks of 32 with 6-bit scales.
    IQ4XS = 23, "IQ4_XS", 256, 136;
    /// 8-bit integers.
    I8 = 24, "I8", 1, 1;
    /// 16-bit integers.
    I16 = 25, "I16", 1, 2;
    /// 32-bit integers.
    I32 = 26, "I32", 1, 4;
    /// 64-bit integers.
    I64 = 27, "I64", 1, 8;
    /// IEEE double precision.
    F64 = 28, "F64", 1, 8;
    /// 1.75 bits, codebook.
    IQ1M = 29, "IQ1_M", 256, 56;
    /// bfloat16: the upper half of an f32.
    BF16 = 30, "BF16", 1, 2;
    /// Ternary, 1.69 bits.
    TQ1_0 = 34, "TQ1_0", 256, 54;
    /// Ternary, 2.06 bits.
    TQ2_0 = 35, "TQ2_0", 256, 66;
    /// OCP microscaling: 4-bit floats, 8-bit exponent for 32.
    MXFP4 = 39, "MXFP4", 32, 17;
    /// 4-bit floats, 8-bit float scales for 16, in blocks of 64.
    NVFP4 = 40, "NVFP4", 64, 36;
    /// 1 bit, f16 scale for 128.
    Q1_0 = 41, "Q1_0", 128, 18;
}

impl TensorType {
    /// Bytes of `elements` elements, or `None` when they are no whole number of blocks or the
    /// product overflows.
    pub fn byte_len(self, elements: u64) -> Option<u64> {
        let block_len = self.block_len() as u64;
        if !elements.is_multiple_of(block_len) {
            return None;
        }
        (elements / block_len).checked_mul(self.block_bytes() as u64)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
