//! Sums for many tables, some of them at a time: one look-up of a pair serves them all.
//!
//! Tables, and sums, are stored one after the other.

use super::pairs::{with_later, PairLayout};
use super::{worth, FeatureRows, BLOCK};
use crate::parallel::{for_rows, map_parts};
use std::ops::{AddAssign, Range};

/// Tables side by side: their entries of a pair fill half a cache line in float32.
const ABREAST: usize = 8;
/// Entries of tables side by side that fill the private cache of a core (1 MB); tests use fewer.
const CACHED: usize = if cfg!(test) { 16 } else { 1 << 15 };

type Abreast<T> = [T; ABREAST];

impl FeatureRows {
    /// `sums` of each of some tables.
    pub fn sums_of_many(&self, tables: &[f64], out: &mut [f64], threads: usize) {
        let threads = worth(threads, ABREAST * self.features.len());
        out.fill(0.0);
        for_blocks(tables, self.size(), out, self.rows(), |tables, out| {
            let tables = abreast(tables, self.size(), threads, |entry| entry);
            let mut sums = vec![[0.0; ABREAST]; self.rows()];
            self.map(&mut sums, threads, |features| {
                let mut sums = [0.0; ABREAST];
                for &feature in features {
                    add(&mut sums, &tables[feature as usize]);
                }
                sums
            });
            apart(&sums, out, threads);
        });
    }

    /// `transposed` of each of some weights.
    pub fn transposed_of_many(&self, weights: &[f64], out: &mut [f64], threads: usize) {
        out.fill(0.0);
        for_blocks(weights, self.rows(), out, self.size(), |weights, out| {
            let weights = abreast(weights, self.rows(), threads, |weight| weight);
            let sums = self.added(&weights, [0.0; ABREAST], threads, add);
            apart(&sums, out, threads);
        });
    }
}

impl PairLayout {
    /// `sums` of each of some tables.
    pub fn sums_of_many(
        &self,
        rows: &FeatureRows,
        tables: &[f64],
        out: &mut [f64],
        threads: usize,
    ) {
        let threads = worth(threads, ABREAST * rows.pairs());
        out.fill(0.0);
        for_blocks(tables, self.size(), out, rows.rows(), |tables, out| {
            let tables = abreast(tables, self.size(), threads, |entry| entry as f32);
            let mut sums = vec![[0.0; ABREAST]; rows.rows()];
            map_parts(&mut sums, 1, threads, |first, sums| {
                for stretch in self.stretches(0..self.features()) {
                    for (row, sums) in (first..).zip(&mut *sums) {
                        self.add_row(rows.row(row), &stretch, &tables, sums);
                    }
                }
            });
            apart(&sums, out, threads);
        });
    }

    /// Add up the entries of the pairs of a row whose first feature is in `stretch`: those of a
    /// feature in float32.
    fn add_row(
        &self,
        features: &[u32],
        stretch: &Range<usize>,
        tables: &[Abreast<f32>],
        sums: &mut Abreast<f64>,
    ) {
        for (feature, partners) in with_later(features, stretch) {
            let (entries, mut part) = (&tables[self.entries(feature)], [0f32; ABREAST]);
            for &partner in partners {
                if let Some(more) = entries.get(self.entry_of(feature, partner)) {
                    add(&mut part, more);
                }
            }
            add(sums, &part.map(f64::from));
        }
    }

    /// The features of `share` in stretches whose entries stay in the cache; all rows are gone
    /// through for each.
    fn stretches(&self, share: Range<usize>) -> Vec<Range<usize>> {
        let mut edges = vec![share.start];
        for feature in share.clone() {
            let begin = edges[edges.len() - 1];
            if feature > begin && self.between(begin, feature + 1).len() > CACHED {
                edges.push(feature);
            }
        }
        edges.push(share.end);
        edges.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }

    /// `transposed` of each of some weights and `single`; weights are added up in float32.
    pub fn transposed_of_many(
        &self,
        rows: &FeatureRows,
        weights: &[f64],
        single: &[f64],
        centre: &[f64],
        out: &mut [f64],
        threads: usize,
    ) {
        let (size, features) = (self.size(), self.features());
        let threads = worth(threads, ABREAST * rows.pairs());
        for_rows(out, size.max(1), worth(threads, out.len()), |at, out| {
            let single = &single[at * features..][..features];
            self.begin(single, centre, 0..features, out);
        });
        for_blocks(weights, rows.rows(), out, size, |weights, out| {
            let weights = abreast(weights, rows.rows(), threads, |weight| weight as f32);
            let mut sums = vec![[0.0; ABREAST]; size];
            self.for_shares(rows, &mut sums, threads, |share, part| {
                let before = self.between(0, share.start).len();
                for stretch in self.stretches(share) {
                    let entries = self.between(stretch.start, stretch.end);
                    let part = &mut part[entries.start - before..entries.end - before];
                    self.add(rows, &weights, stretch, part, add);
                }
            });
            apart(&sums, out, threads);
        });
    }
}

/// Call `work` with up to `ABREAST` of the columns of both at a time, which are so long.
fn for_blocks(
    given: &[f64],
    width: usize,
    out: &mut [f64],
    made: usize,
    work: impl Fn(&[f64], &mut [f64]),
) {
    for (block, out) in out.chunks_mut((ABREAST * made).max(1)).enumerate() {
        let first = block * ABREAST;
        work(
            &given[first * width..(first + out.len() / made) * width],
            out,
        );
    }
}

/// Columns of `length` numbers side by side, filled up with 0 if there are fewer.
fn abreast<T: Copy + Default + Send>(
    columns: &[f64],
    length: usize,
    threads: usize,
    kept: impl Fn(f64) -> T + Sync,
) -> Vec<Abreast<T>> {
    let mut made = vec![[T::default(); ABREAST]; length];
    let threads = worth(threads, ABREAST * length);
    for_rows(&mut made, BLOCK, threads, |block, made| {
        for (at, column) in columns.chunks(length).enumerate() {
            for (made, &value) in made.iter_mut().zip(&column[block * BLOCK..]) {
                made[at] = kept(value);
            }
        }
    });
    made
}

/// Add interleaved columns to columns of `out`.
fn apart<T: Copy + Into<f64> + Sync>(sums: &[Abreast<T>], out: &mut [f64], threads: usize) {
    let threads = worth(threads, out.len());
    for_rows(out, sums.len().max(1), threads, |at, out| {
        out.iter_mut()
            .zip(sums)
            .for_each(|(out, sums)| *out += sums[at].into());
    });
}

#[inline(always)]
fn add<T: AddAssign + Copy>(sums: &mut Abreast<T>, more: &Abreast<T>) {
    sums.iter_mut()
        .zip(more)
        .for_each(|(sum, &more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use crate::phi::pairs::tests::{layout, made, rows, SIZE};
    use proptest::prelude::*;

    proptest! {
        /// With small integers, whose sums are exact.
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
            let (mut sums, mut sides) = (vec![9.0; count * n], vec![9.0; count * features]);
            rows.sums_of_many(&single, &mut sums, threads);
            rows.transposed_of_many(&weights, &mut sides, threads);
            for at in 0..count {
                let (mut wanted_sums, mut wanted_sides) = (vec![9.0; n], vec![9.0; features]);
                rows.sums(&single[at * features..][..features], &mut wanted_sums, 1);
                rows.transposed(&weights[at * n..][..n], &mut wanted_sides, 1);
                prop_assert_eq!(&sums[at * n..][..n], wanted_sums);
                prop_assert_eq!(&sides[at * features..][..features], wanted_sides);
            }
        }
    }
}
