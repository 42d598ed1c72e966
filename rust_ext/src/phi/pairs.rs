//! Sums over the pairs of a row's mutations.

use super::{worth, FeatureRows};
use crate::library::Refused;
use std::ops::Range;
use std::thread;

/// Sums side by side, so that one need not wait for the one before.
const LANES: usize = 4;

/// Which pairs of features have an entry in a table: each feature with a range of later ones.
///
/// The entries lie by first feature, then by second, without gaps.
#[derive(Debug)]
pub struct PairLayout {
    first: Vec<u32>,
    starts: Vec<usize>,
}

impl PairLayout {
    /// Feature f pairs with `first[f]..ends[f]`: none, or all of them above f.
    pub fn new(first: &[u32], ends: &[u32]) -> Result<Self, Refused> {
        if first.len() != ends.len() {
            return Err(Refused("first and ends must be equally long".into()));
        }
        let mut starts = vec![0];
        for (feature, (&first, &end)) in first.iter().zip(ends).enumerate() {
            let known = end as usize <= ends.len();
            if first > end || !known || (first < end && first as usize <= feature) {
                return Err(Refused("partners must be a range of later features".into()));
            }
            starts.push(starts[feature] + (end - first) as usize);
        }
        Ok(PairLayout {
            first: first.to_vec(),
            starts,
        })
    }

    /// Features there are.
    pub fn features(&self) -> usize {
        self.first.len()
    }

    /// Entries of the table.
    pub fn size(&self) -> usize {
        self.starts[self.features()]
    }

    fn entries(&self, feature: usize) -> Range<usize> {
        self.starts[feature]..self.starts[feature + 1]
    }

    /// For every row of `rows` the sum of the entries of its pairs.
    pub fn sums(&self, rows: &FeatureRows, table: &[f32], out: &mut [f64], threads: usize) {
        rows.map(out, worth(threads, rows.pairs()), |features| {
            let mut sum = 0.0;
            for (at, &feature) in features.iter().enumerate() {
                let entries = &table[self.entries(feature as usize)];
                sum += f64::from(partial(
                    entries,
                    self.first[feature as usize],
                    &features[at + 1..],
                ));
            }
            sum
        });
    }

    /// For every entry the sum of `weights[row]` over the rows that have its pair: the transpose.
    ///
    /// A thread has entries of its own and goes through all rows.
    pub fn transposed(&self, rows: &FeatureRows, weights: &[f64], out: &mut [f64], threads: usize) {
        out.fill(0.0);
        let threads = worth(threads, rows.pairs());
        thread::scope(|scope| {
            let mut rest = out;
            for share in self.shares(rows, threads) {
                let size = self.starts[share.end] - self.starts[share.start];
                let (part, after) = rest.split_at_mut(size);
                rest = after;
                scope.spawn(move || self.add(rows, weights, share, part));
            }
        });
    }

    /// Features in up to `threads` stretches of about as many pairs, were mutations independent.
    fn shares(&self, rows: &FeatureRows, threads: usize) -> Vec<Range<usize>> {
        let mut before = vec![0u64];
        for &count in &rows.counts {
            before.push(before[before.len() - 1] + count);
        }
        let mut work = vec![0.0];
        for feature in 0..self.features() {
            let first = self.first[feature] as usize;
            let partners = before[first + self.entries(feature).len()] - before[first];
            work.push(work[feature] + rows.counts[feature] as f64 * partners as f64);
        }
        let all = work[self.features()];
        let edge = |share| {
            let done = all * share as f64 / threads as f64;
            work.partition_point(|&work| work < done)
        };
        let mut edges: Vec<usize> = (1..threads).map(edge).collect();
        edges.insert(0, 0);
        edges.push(self.features());
        let shares = edges.windows(2).map(|pair| pair[0]..pair[1]);
        shares.filter(|share| share.start < share.end).collect()
    }

    /// `transposed` for the entries of the features in `share`, which `out` holds.
    fn add(&self, rows: &FeatureRows, weights: &[f64], share: Range<usize>, out: &mut [f64]) {
        let offset = self.starts[share.start];
        for (row, &weight) in weights.iter().enumerate() {
            let features = rows.row(row);
            let from = features.partition_point(|&feature| (feature as usize) < share.start);
            for (at, &feature) in features.iter().enumerate().skip(from) {
                let feature = feature as usize;
                if feature >= share.end {
                    break;
                }
                let entries = self.entries(feature);
                let entries = &mut out[entries.start - offset..entries.end - offset];
                for &partner in &features[at + 1..] {
                    let entry = partner.wrapping_sub(self.first[feature]) as usize;
                    if let Some(sum) = entries.get_mut(entry) {
                        *sum += weight;
                    }
                }
            }
        }
    }
}

/// The sum of the entries of one feature with `partners`, in a fixed order.
#[inline(always)]
fn partial(entries: &[f32], first: u32, partners: &[u32]) -> f32 {
    let entry = |partner: u32| {
        let entry = entries.get(partner.wrapping_sub(first) as usize);
        entry.copied().unwrap_or(0.0)
    };
    let (mut lanes, chunks) = ([0f32; LANES], partners.chunks_exact(LANES));
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &partner) in lanes.iter_mut().zip(chunk) {
            *lane += entry(partner);
        }
    }
    let rest: f32 = rest.iter().map(|&partner| entry(partner)).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u32 = 12;

    fn rows() -> impl Strategy<Value = Vec<Vec<u32>>> {
        let row = proptest::collection::btree_set(0..SIZE, 0..8);
        proptest::collection::vec(row.prop_map(|row| row.into_iter().collect()), 0..20)
    }

    fn made(rows: &[Vec<u32>]) -> FeatureRows {
        let mut starts = vec![0];
        rows.iter()
            .for_each(|row| starts.push(starts[starts.len() - 1] + row.len() as i64));
        FeatureRows::new(&starts, &rows.concat(), SIZE as usize).unwrap()
    }

    /// Every feature with up to `reach` later ones, `skip` after it.
    fn layout(skip: u32, reach: u32) -> PairLayout {
        let first: Vec<u32> = (0..SIZE)
            .map(|feature| SIZE.min(feature + 1 + skip))
            .collect();
        let end: Vec<u32> = first.iter().map(|&first| SIZE.min(first + reach)).collect();
        PairLayout::new(&first, &end).unwrap()
    }

    proptest! {
        #[test]
        fn sums_are_those_of_all_pairs_one_by_one(
            rows in rows(), skip in 0..3u32, reach in 0..12u32, threads in 1..5usize,
        ) {
            let (made, pairs) = (made(&rows), layout(skip, reach));
            let table: Vec<f32> = (0..pairs.size()).map(|entry| (entry * entry) as f32).collect();
            let weights: Vec<f64> = (0..rows.len()).map(|row| (1 << row) as f64).collect();
            let (mut sums, mut wanted_sums) = (vec![9.0; rows.len()], vec![0.0; rows.len()]);
            let (mut sides, mut wanted_sides) = (vec![9.0; pairs.size()], vec![0.0; pairs.size()]);
            for (row, features) in rows.iter().enumerate() {
                for (&a, &b) in features.iter().flat_map(|a| features.iter().map(move |b| (a, b))) {
                    let first = pairs.first[a as usize];
                    if b > a && b >= first && b - first < pairs.entries(a as usize).len() as u32 {
                        let entry = pairs.starts[a as usize] + (b - first) as usize;
                        wanted_sums[row] += f64::from(table[entry]);
                        wanted_sides[entry] += weights[row];
                    }
                }
            }
            pairs.sums(&made, &table, &mut sums, threads);
            pairs.transposed(&made, &weights, &mut sides, threads);
            prop_assert_eq!(sums, wanted_sums);
            prop_assert_eq!(sides, wanted_sides);
        }
    }

    #[test]
    fn partners_must_be_later_features() {
        assert!(PairLayout::new(&[1, 1], &[2, 2]).is_err());
        assert!(PairLayout::new(&[1, 2], &[0, 2]).is_err());
        assert!(PairLayout::new(&[1, 2], &[3, 2]).is_err());
        assert!(PairLayout::new(&[1], &[]).is_err());
    }
}
