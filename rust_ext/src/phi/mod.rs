//! Sums over the mutations of a library's rows, and their transposes.
//!
//! In the wild-type gauge a row of a substitution library is only its few mutations, each a feature
//! (position × other symbol). A latent phenotype is then a sum over a row's features, or over pairs
//! of them, of entries of a table; its gradient adds up, for every entry, the weights of the rows
//! that have it. Every sum is taken in the order of the rows (in fixed parts of them), so that no
//! bit of a result depends on the number of threads.

mod many;
pub mod pairs;

use crate::library::Refused;
use crate::parallel::{for_rows_with, map_shares};

/// Parts of the rows that are summed one by one, whatever the threads.
const PARTS: u64 = 16;
/// Rows of a buffer that a thread takes at a time.
const BLOCK: usize = 256;
/// Sums of so many numbers are over before another thread has begun; tests try threads on few.
const ALONE: usize = if cfg!(test) { 4 } else { 1 << 19 };

/// As many of `threads` as `work`, in numbers that are added, is worth.
fn worth(threads: usize, work: usize) -> usize {
    threads.min(1 + work / ALONE)
}

/// The features of every row, ascending within it.
#[derive(Debug)]
pub struct FeatureRows {
    starts: Vec<usize>,
    features: Vec<u32>,
    size: usize,
    /// Rows that have each feature.
    counts: Vec<u64>,
}

impl FeatureRows {
    /// Row i has `features[starts[i]..starts[i + 1]]`, all below `size`.
    pub fn new(starts: &[i64], features: &[u32], size: usize) -> Result<Self, Refused> {
        let refuse = |message: &str| Err(Refused(message.into()));
        let last = i64::try_from(features.len()).ok();
        if starts.first() != Some(&0) || starts.last().copied() != last {
            return refuse("starts must begin with 0 and end with the number of features");
        }
        if starts.windows(2).any(|pair| pair[0] > pair[1]) {
            return refuse("starts must not decrease");
        }
        let starts: Vec<usize> = starts.iter().map(|&start| start as usize).collect();
        let mut counts = vec![0; size];
        for row in starts.windows(2).map(|pair| &features[pair[0]..pair[1]]) {
            if row.windows(2).any(|pair| pair[0] >= pair[1]) {
                return refuse("the features of a row must be ascending");
            }
            for &feature in row {
                match counts.get_mut(feature as usize) {
                    Some(count) => *count += 1,
                    None => return refuse("a feature is not below the number of features"),
                }
            }
        }
        Ok(FeatureRows {
            starts,
            features: features.to_vec(),
            size,
            counts,
        })
    }

    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of features.
    pub fn size(&self) -> usize {
        self.size
    }

    #[inline(always)]
    fn row(&self, row: usize) -> &[u32] {
        &self.features[self.starts[row]..self.starts[row + 1]]
    }

    /// About the pairs of features in all rows.
    fn pairs(&self) -> usize {
        self.features.len() / 2 * (self.features.len() / self.rows().max(1))
    }

    /// `out[row]` = `value(features of the row)`.
    fn map<T: Send>(&self, out: &mut [T], threads: usize, value: impl Fn(&[u32]) -> T + Sync) {
        let nothing = || ();
        for_rows_with(out, BLOCK, threads, nothing, |(), block, out| {
            for (row, out) in (block * BLOCK..).zip(out) {
                *out = value(self.row(row));
            }
        });
    }

    /// For every row the sum of `table[feature]`.
    pub fn sums(&self, table: &[f64], out: &mut [f64], threads: usize) {
        self.map(out, worth(threads, self.features.len()), |features| {
            features
                .iter()
                .map(|&feature| table[feature as usize])
                .sum()
        });
    }

    /// For every feature the sum of `weights[row]` over the rows that have it: the transpose.
    pub fn transposed(&self, weights: &[f64], out: &mut [f64], threads: usize) {
        let sums = self.added(weights, 0.0, threads, |sum, weight| *sum += weight);
        out.copy_from_slice(&sums);
    }

    /// For every feature `plus` the weights of the rows that have it, from `zero` on.
    fn added<T: Copy + Send + Sync>(
        &self,
        weights: &[T],
        zero: T,
        threads: usize,
        plus: impl Fn(&mut T, &T) + Sync,
    ) -> Vec<T> {
        let threads = worth(threads, self.features.len());
        let rows = self.rows() as u64;
        let part = |part: u64| (part * rows / PARTS) as usize..((part + 1) * rows / PARTS) as usize;
        let of_part = |at| {
            let mut table = vec![zero; self.size];
            for row in part(at) {
                for &feature in self.row(row) {
                    plus(&mut table[feature as usize], &weights[row]);
                }
            }
            table
        };
        let tables = map_shares(0..PARTS, threads, |parts| {
            parts.map(of_part).collect::<Vec<_>>()
        });
        let mut sums = vec![zero; self.size];
        for table in tables.iter().flatten() {
            sums.iter_mut()
                .zip(table)
                .for_each(|(sum, more)| plus(sum, more));
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_their_transpose() {
        let rows = FeatureRows::new(&[0, 2, 2, 3], &[0, 2, 2], 3).unwrap();
        let (mut sums, mut transposed) = ([9.0; 3], [9.0; 3]);
        rows.sums(&[1.0, 2.0, 4.0], &mut sums, 2);
        assert_eq!(sums, [5.0, 0.0, 4.0]);
        rows.transposed(&[1.0, 10.0, 100.0], &mut transposed, 2);
        assert_eq!(transposed, [1.0, 0.0, 101.0]);
    }

    #[test]
    fn what_is_no_list_of_rows_is_refused() {
        for (starts, features) in [
            (vec![], vec![]),
            (vec![0, 1], vec![]),
            (vec![1, 1], vec![0]),
            (vec![0, 2, 1, 2], vec![0, 1]),
            (vec![0, 2], vec![1, 1]),
            (vec![0, 2], vec![1, 3]),
            (vec![0, -1, 2], vec![0, 1]),
        ] {
            assert!(
                FeatureRows::new(&starts, &features, 3).is_err(),
                "{starts:?}"
            );
        }
    }
}
