//! The 12 bytes that hold the eight 6-bit scales and eight 6-bit minimums of Q4_K and Q5_K.
//!
//! Bytes 0–3 hold scales 0–3 and bytes 4–7 minimums 0–3 in their low six bits. Bytes 8–11 hold the
//! low four bits of scales 4–7 and, above them, of minimums 4–7, whose upper two bits are the upper
//! bits of bytes 0–3 and 4–7.

/// Reads scales and minimums, each repeated for the two groups of 16 that share it.
pub(super) fn unpack(packed: &[u8; 12], scale: &mut [i16; 16], min: &mut [i16; 16]) {
    let mut scales = [0u8; 8];
    let mut mins = [0u8; 8];
    for j in 0..4 {
        let (a, b, c) = (packed[j], packed[j + 4], packed[j + 8]);
        scales[j] = a & 63;
        mins[j] = b & 63;
        scales[j + 4] = (c & 15) | (a >> 6) << 4;
        mins[j + 4] = (c >> 4) | (b >> 6) << 4;
    }
    for i in 0..16 {
        scale[i] = scales[i / 2].into();
        min[i] = mins[i / 2].into();
    }
}

/// The inverse of [`unpack`] for numbers from 0 to 63.
pub(super) fn pack(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for j in 0..4 {
        packed[j] = scales[j] | (scales[j + 4] >> 4) << 6;
        packed[j + 4] = mins[j] | (mins[j + 4] >> 4) << 6;
        packed[j + 8] = (scales[j + 4] & 15) | (mins[j + 4] & 15) << 4;
    }
    packed
}

#[cfg(test)]
mod tests {
    #[test]
    fn pack_then_unpack_is_the_identity() {
        for shift in 0..64u8 {
            let scales: [u8; 8] = std::array::from_fn(|j| (shift + 9 * j as u8) % 64);
            let mins: [u8; 8] = std::array::from_fn(|j| (63 + 7 * j as u8 - shift) % 64);
            let (mut scale, mut min) = ([0; 16], [0; 16]);
            super::unpack(&super::pack(&scales, &mins), &mut scale, &mut min);
            for i in 0..16 {
                assert_eq!(
                    scale[i],
                    i16::from(scales[i / 2]),
                    "scale {i}, shift {shift}"
                );
                assert_eq!(min[i], i16::from(mins[i / 2]), "min {i}, shift {shift}");
            }
        }
    }
}
