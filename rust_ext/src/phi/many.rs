//! Sums over pairs for many tables, some of them at a time: one look-up of a pair serves them all.

use super::pairs::PairLayout;
use super::{worth, FeatureRows, BLOCK};
use crate::parallel::for_rows;

/// Tables side by side: their entries of a pair fill half a cache line.
const ABREAST: usize = 8;

type Entries = [f32; ABREAST];

impl PairLayout {
    /// `sums` of each of some tables, which lie one after the other, as do their sums.
    pub fn sums_of_many(
        &self,
        rows: &FeatureRows,
        tables: &[f64],
        out: &mut [f64],
        threads: usize,
    ) {
        let (size, n) = (self.size(), rows.rows());
        let threads = worth(threads, ABREAST * rows.pairs());
        for (block, out) in out.chunks_mut((ABREAST * n).max(1)).enumerate() {
            let tables = &tables[block * ABREAST * size..];
            let tables = abreast(&tables[..out.len() / n * size], size, threads);
            let mut sums = vec![[0.0; ABREAST]; n];
            for_rows(&mut sums, BLOCK, threads, |block, sums| {
                for (row, sums) in (block * BLOCK..).zip(sums) {
                    *sums = self.of_row(rows.row(row), &tables);
                }
            });
            for (at, out) in out.chunks_mut(n).enumerate() {
                out.iter_mut()
                    .zip(&sums)
                    .for_each(|(out, sums)| *out = sums[at]);
            }
        }
    }

    /// The sums of the entries of all pairs of `features`: of a feature's in float32.
    fn of_row(&self, features: &[u32], tables: &[Entries]) -> [f64; ABREAST] {
        let mut sums = [0.0; ABREAST];
        for (at, &feature) in features.iter().enumerate() {
            let mut part = [0.0; ABREAST];
            let entries = &tables[self.entries(feature as usize)];
            for &partner in &features[at + 1..] {
                if let Some(more) = entries.get(self.entry_of(feature as usize, partner)) {
                    add(&mut part, more);
                }
            }
            sums.iter_mut()
                .zip(part)
                .for_each(|(sum, part)| *sum += f64::from(part));
        }
        sums
    }

    /// `transposed` of each of some weights and `single`, which lie one after the other, as do the
    /// tables that come of them. Weights are added up in float32.
    pub fn transposed_of_many(
        &self,
        rows: &FeatureRows,
        weights: &[f64],
        single: &[f64],
        centre: &[f64],
        out: &mut [f64],
        threads: usize,
    ) {
        let (size, n) = (self.size(), rows.rows());
        let threads = worth(threads, ABREAST * rows.pairs());
        for (block, out) in out.chunks_mut((ABREAST * size).max(1)).enumerate() {
            let (first, count) = (block * ABREAST, out.len() / size);
            let weights = abreast(&weights[first * n..(first + count) * n], n, threads);
            let mut table = vec![[0.0; ABREAST]; size];
            self.for_shares(rows, &mut table, threads, |share, part| {
                self.add(rows, &weights, share, part, add);
            });
            for_rows(out, size, threads, |at, out| {
                let single = &single[(first + at) * self.features()..][..self.features()];
                self.begin(single, centre, 0..self.features(), out);
                out.iter_mut()
                    .zip(&table)
                    .for_each(|(out, sums)| *out += f64::from(sums[at]));
            });
        }
    }
}

#[inline(always)]
fn add(sums: &mut Entries, more: &Entries) {
    sums.iter_mut()
        .zip(more)
        .for_each(|(sum, more)| *sum += more);
}

/// Up to `ABREAST` columns of `length` numbers, one after the other, side by side; the rest is 0.
fn abreast(columns: &[f64], length: usize, threads: usize) -> Vec<Entries> {
    let mut made = vec![[0.0; ABREAST]; length];
    for_rows(&mut made, BLOCK, threads, |block, made| {
        for (at, column) in columns.chunks(length).enumerate() {
            for (made, &value) in made.iter_mut().zip(&column[block * BLOCK..]) {
                made[at] = value as f32;
            }
        }
    });
    made
}

#[cfg(test)]
mod tests {
    use crate::phi::pairs::tests::{layout, made, rows, SIZE};
    use proptest::prelude::*;

    proptest! {
        /// Of small whole numbers, whose sums are exact.
        #[test]
        fn many_tables_have_the_sums_of_one_after_the_other(
            rows in rows(), skip in 0..3u32, reach in 0..12u32, threads in 1..5usize,
            count in 0..20usize,
        ) {
            let (rows, pairs, features) = (made(&rows), layout(skip, reach), SIZE as usize);
            let (size, n) = (pairs.size(), rows.rows());
            let numbers = |count: usize| -> Vec<f64> {
                (0..count).map(|at| (at * at % 101) as f64 - 50.0).collect()
            };
            let (tables, weights) = (numbers(count * size), numbers(count * n));
            let (single, centre) = (numbers(count * features), numbers(features));
            let (mut sums, mut sides) = (vec![9.0; count * n], vec![9.0; count * size]);
            pairs.sums_of_many(&rows, &tables, &mut sums, threads);
            pairs.transposed_of_many(&rows, &weights, &single, &centre, &mut sides, threads);
            for at in 0..count {
                let (mut wanted_sums, mut wanted_sides) = (vec![9.0; n], vec![9.0; size]);
                pairs.sums(&rows, &tables[at * size..][..size], &mut wanted_sums, 1);
                let (weights, single) = (&weights[at * n..][..n], &single[at * features..][..features]);
                pairs.transposed(&rows, weights, single, &centre, &mut wanted_sides, 1);
                prop_assert_eq!(&sums[at * n..][..n], wanted_sums);
                prop_assert_eq!(&sides[at * size..][..size], wanted_sides);
            }
        }
    }
}
