//! Detectors of motifs, as those of DeepBind, applied at every position of a sequence.
//!
//! What a detector finds at a position is a sum over its own positions. It is read two of them at a
//! time from tables with a row for each of the 25 pairs of A, C, G, T, N; the table of `LANES`
//! detectors fits the first cache.

use crate::parallel::map_parts;
#[cfg(target_arch = "x86_64")]
use crate::simd::with_avx2;

/// Detectors of a table.
pub const LANES: usize = 32;
/// Pairs of tokens.
pub const CODES: usize = 25;
const N: u8 = 4;
/// Sequences that are read with a table before the next one.
const ROWS: usize = 16;

/// Detectors of one width.
pub struct Detectors<'a> {
    pub width: usize,
    /// `[column / LANES][pair of positions][pair of tokens][column % LANES]`; the second position of
    /// the last pair is beyond an odd width.
    pub tables: &'a [f32],
    /// Added to what is found, one for each column.
    pub thresholds: &'a [f32],
    /// Whether the mean over positions is wanted besides the maximum.
    pub average: bool,
}

impl Detectors<'_> {
    /// Numbers of a table.
    pub fn table(&self) -> usize {
        self.width.div_ceil(2) * CODES * LANES
    }

    /// Numbers that are written for a sequence: maxima, then means if they are wanted.
    pub fn outputs(&self) -> usize {
        self.thresholds.len() * if self.average { 2 } else { 1 }
    }

    /// Write into `out[sequence]` the maximum over positions of each detector, and the mean, both of
    /// what is above 0.
    ///
    /// `tokens` holds sequences of `length`. Positions are those at which a detector covers a token
    /// of the sequence; what it covers beyond is N.
    pub fn scan(&self, tokens: &[u8], length: usize, out: &mut [f32], threads: usize) {
        assert!(self.width > 0 && self.thresholds.len() % LANES == 0);
        assert_eq!(
            self.tables.len(),
            self.table() * self.thresholds.len() / LANES
        );
        if out.is_empty() {
            return;
        }
        map_parts(out, self.outputs(), threads, |first, part| {
            let mut codes = vec![Vec::new(); ROWS];
            for (index, rows) in part.chunks_mut(ROWS * self.outputs()).enumerate() {
                let first = first + index * ROWS;
                let count = rows.len() / self.outputs();
                for (row, codes) in codes.iter_mut().take(count).enumerate() {
                    self.encode(&tokens[(first + row) * length..][..length], codes);
                }
                self.read(&codes[..count], length + self.width - 1, rows);
            }
        });
    }

    /// The pairs of tokens from every position on.
    fn encode(&self, sequence: &[u8], codes: &mut Vec<u8>) {
        let beyond = std::iter::repeat_n(N, self.width - 1);
        let end = std::iter::repeat_n(N, self.width + 2);
        let padded: Vec<u8> = beyond.chain(sequence.iter().copied()).chain(end).collect();
        codes.clear();
        codes.extend(padded.windows(2).map(|pair| 5 * pair[0] + pair[1]));
    }

    fn read(&self, codes: &[Vec<u8>], positions: usize, out: &mut [f32]) {
        let columns = self.thresholds.len();
        let tables = self.tables.chunks_exact(self.table());
        for (block, (table, thresholds)) in
            tables.zip(self.thresholds.chunks_exact(LANES)).enumerate()
        {
            for (codes, row) in codes.iter().zip(out.chunks_exact_mut(self.outputs())) {
                let (most, mean) = row.split_at_mut(columns);
                let most = &mut most[block * LANES..][..LANES];
                let mean = mean.get_mut(block * LANES..).filter(|_| self.average);
                let mean = mean.map(|rest| &mut rest[..LANES]);
                let found = Found { most, mean };
                #[cfg(target_arch = "x86_64")]
                with_avx2(table, thresholds, codes, positions, found);
                #[cfg(not(target_arch = "x86_64"))]
                read(table, thresholds, codes, positions, found);
            }
        }
    }
}

/// Where maxima and means of the `LANES` detectors of a table are written.
pub struct Found<'a> {
    pub most: &'a mut [f32],
    pub mean: Option<&'a mut [f32]>,
}

/// Maxima and means of the detectors of a table.
#[inline(always)]
pub fn read(table: &[f32], thresholds: &[f32], codes: &[u8], positions: usize, found: Found) {
    let (mut most, mut sum) = ([0f32; LANES], [0f32; LANES]);
    let pairs = table.len() / (CODES * LANES);
    for start in 0..positions {
        let mut value = [0f32; LANES];
        value.copy_from_slice(thresholds);
        let seen = codes[start..][..2 * pairs - 1].iter().step_by(2);
        for (rows, &code) in table.chunks_exact(CODES * LANES).zip(seen) {
            let row = &rows[LANES * usize::from(code)..][..LANES];
            value.iter_mut().zip(row).for_each(|(v, r)| *v += r);
        }
        for (most, value) in most.iter_mut().zip(&value) {
            *most = if value > most { *value } else { *most };
        }
        if found.mean.is_some() {
            sum.iter_mut()
                .zip(&value)
                .for_each(|(sum, v)| *sum += v.max(0.0));
        }
    }
    found.most.copy_from_slice(&most);
    if let Some(mean) = found.mean {
        let share = (positions as f32).recip();
        mean.iter_mut()
            .zip(&sum)
            .for_each(|(mean, sum)| *mean = sum * share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Maximum and mean of what is above 0, one detector and position after the other.
    fn slow(detectors: &Detectors, column: usize, sequence: &[u8]) -> (f32, f32) {
        let side = detectors.width as i64 - 1;
        let token = |at: i64| usize::try_from(at).ok().and_then(|at| sequence.get(at));
        let table = &detectors.tables[column / LANES * detectors.table()..];
        let found = (-side..sequence.len() as i64).map(|start| {
            let pairs = (0..detectors.width.div_ceil(2) as i64).map(|pair| {
                let [one, two] = [0, 1].map(|i| *token(start + 2 * pair + i).unwrap_or(&N));
                let code = usize::from(5 * one + two);
                table[(pair as usize * CODES + code) * LANES + column % LANES]
            });
            (detectors.thresholds[column] + pairs.sum::<f32>()).max(0.0)
        });
        let found: Vec<f32> = found.collect();
        let sum: f32 = found.iter().sum();
        (
            found.iter().copied().fold(0.0, f32::max),
            sum / found.len() as f32,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn maxima_and_means_are_those_of_the_slow_way(
            width in 1usize..12,
            length in 1usize..30,
            rows in 1usize..40,
            average: bool,
            threads in 1usize..4,
            seed in 0u32..1000,
        ) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            };
            let columns = 2 * LANES;
            let size = columns * width.div_ceil(2) * CODES;
            let tables: Vec<f32> = (0..size).map(|_| next() as f32 / 1e7 - 0.8).collect();
            let thresholds: Vec<f32> = (0..columns).map(|_| next() as f32 / 1e7).collect();
            let tokens: Vec<u8> = (0..rows * length).map(|_| (next() % 5) as u8).collect();
            let detectors = Detectors { width, tables: &tables, thresholds: &thresholds, average };
            let mut out = vec![f32::NAN; rows * detectors.outputs()];
            detectors.scan(&tokens, length, &mut out, threads);
            for (row, sequence) in out.chunks(detectors.outputs()).zip(tokens.chunks(length)) {
                for column in [0, 1, LANES, columns - 1] {
                    let (most, mean) = slow(&detectors, column, sequence);
                    prop_assert!((row[column] - most).abs() < 1e-4);
                    prop_assert!(!average || (row[columns + column] - mean).abs() < 1e-4);
                }
            }
        }
    }
}
