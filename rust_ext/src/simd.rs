//! One-hot and detectors by AVX2, where the processor has it: the one module with `unsafe`.
//!
//! A large output is written with streaming stores: it would not stay in the caches, and other
//! stores read the memory first. `Four::by_symbol` is the portable reference implementation.

use crate::detectors::{read, Found};
use crate::encode::Four;
use std::arch::x86_64::*;

/// Symbols of one vector.
const SYMBOLS: usize = 8;
/// Bytes of one vector.
const BYTES: usize = 4 * SYMBOLS;
/// Miri does not support streaming stores: it checks stores that need the same alignment.
const MIRI: bool = cfg!(miri);

/// `Four::by_symbol` for `u8`. `large`: nobody reads `out` soon.
#[inline]
pub fn by_symbol(four: Four, source: &[u8], out: &mut [u8], large: bool) -> bool {
    assert_eq!(out.len(), 4 * source.len());
    if source.len() < SYMBOLS || !is_x86_feature_detected!("avx2") {
        return four.by_symbol(source, out);
    }
    // SAFETY: AVX2 is available, `source` fills a vector, and `out` has four bytes per symbol.
    unsafe {
        if large && out.as_ptr().align_offset(4) == 0 {
            vectors::<true>(four, source, out)
        } else {
            vectors::<false>(four, source, out)
        }
    }
}

/// `detectors::read`, compiled for AVX2.
pub fn with_avx2(table: &[f32], thresholds: &[f32], codes: &[u8], positions: usize, found: Found) {
    if !is_x86_feature_detected!("avx2") {
        return read(table, thresholds, codes, positions, found);
    }
    // SAFETY: AVX2 is available.
    unsafe { read_with_avx2(table, thresholds, codes, positions, found) }
}

/// # Safety
/// Needs AVX2.
#[target_feature(enable = "avx2")]
unsafe fn read_with_avx2(
    table: &[f32],
    thresholds: &[f32],
    codes: &[u8],
    positions: usize,
    found: Found,
) {
    read(table, thresholds, codes, positions, found);
}

/// # Safety
/// Needs AVX2, `SYMBOLS` symbols or more, and four bytes of `out` for each; with `STREAM`, `out`
/// aligned to 4 bytes, so that some symbol begins at a multiple of `BYTES`.
#[target_feature(enable = "avx2")]
unsafe fn vectors<const STREAM: bool>(four: Four, source: &[u8], out: &mut [u8]) -> bool {
    let last = source.len() - SYMBOLS;
    let (source, out) = (source.as_ptr(), out.as_mut_ptr());
    let mut lanes = Lanes::new(four);
    // The first and the last vector may overlap with those between: they write the same again.
    for place in [0, last] {
        let hot = lanes.hot(source.add(place));
        _mm256_storeu_si256(out.add(4 * place).cast(), hot);
    }
    let mut place = if STREAM {
        out.align_offset(BYTES) / 4
    } else {
        SYMBOLS
    };
    while place < last {
        let hot = lanes.hot(source.add(place));
        let target = out.add(4 * place).cast();
        match STREAM {
            true if MIRI => _mm256_store_si256(target, hot),
            true => _mm256_stream_si256(target, hot),
            false => _mm256_storeu_si256(target, hot),
        }
        place += SYMBOLS;
    }
    if STREAM && !MIRI {
        _mm_sfence();
    }
    _mm256_testz_si256(lanes.strange, lanes.strange) == 1
}

/// What every vector of symbols is compared with, and which lanes met a byte that is none of them.
struct Lanes {
    mask: __m256i,
    symbols: __m256i,
    unknown: __m256i,
    strange: __m256i,
}

impl Lanes {
    #[target_feature(enable = "avx2")]
    unsafe fn new(four: Four) -> Self {
        Lanes {
            mask: _mm256_set1_epi8(four.mask as i8),
            symbols: _mm256_set1_epi32(i32::from_le_bytes(four.symbols)),
            unknown: _mm256_set1_epi8(four.unknown as i8),
            strange: _mm256_setzero_si256(),
        }
    }

    /// One-hot of the 8 symbols at `source`: each fills 4 bytes, which are compared with the four.
    ///
    /// # Safety
    /// Needs AVX2, and 8 bytes to read.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn hot(&mut self, source: *const u8) -> __m256i {
        let spread = _mm256_setr_epi8(
            0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7,
            7, 7, 7,
        );
        let symbols = _mm256_set1_epi64x(source.cast::<i64>().read_unaligned());
        let bytes = _mm256_and_si256(_mm256_shuffle_epi8(symbols, spread), self.mask);
        let same = _mm256_cmpeq_epi8(bytes, self.symbols);
        let known = _mm256_or_si256(same, _mm256_cmpeq_epi8(bytes, self.unknown));
        let none = _mm256_cmpeq_epi32(known, _mm256_setzero_si256());
        self.strange = _mm256_or_si256(self.strange, none);
        _mm256_and_si256(same, _mm256_set1_epi8(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            8 => prop::sample::select(b"ACGTacgtNn".to_vec()),
            1 => 0u8..6,
            1 => any::<u8>(),
        ]
    }

    proptest! {
        /// Every start in memory, every rest of a vector, all symbols known or not.
        #[test]
        fn vectors_write_what_the_scalar_code_writes(
            text in prop::collection::vec(byte(), 0..150),
            clean in any::<bool>(),
            symbols in any::<bool>(),
            offset in 0usize..40,
            large in any::<bool>(),
        ) {
            let four = if symbols { Four::either_case(*b"ACGT", b'N') } else { Four::TOKENS };
            let text: Vec<u8> = match (clean, symbols) {
                (false, _) => text,
                (true, true) => text.iter().map(|byte| b"ACGTNacgt"[usize::from(byte % 9)]).collect(),
                (true, false) => text.iter().map(|byte| byte % 5).collect(),
            };
            let mut wanted = vec![7; 4 * text.len()];
            let known = four.by_symbol(&text, &mut wanted);
            prop_assert!(known || !clean);
            let mut buffer = vec![9; offset + 4 * text.len() + 40];
            let end = offset + 4 * text.len();
            prop_assert_eq!(by_symbol(four, &text, &mut buffer[offset..end], large), known);
            prop_assert_eq!(&buffer[offset..end], wanted);
            prop_assert!(buffer[..offset].iter().chain(&buffer[end..]).all(|&byte| byte == 9));
        }
    }
}
