//! Sums over the pairs of a row's mutations.

use super::{worth, FeatureRows};
use crate::library::Refused;
use std::ops::Range;
use std::thread;

/// Sums side by side, so that one need not wait for the one before.
const LANES: usize = 4;

/// Which pairs of features have an entry in a table: each feature with a range of later ones.
///
/// The entries are sorted by first feature, then by second, without gaps.
#[derive(Debug)]
pub struct PairLayout {
    first: Vec<u32>,
    starts: Vec<usize>,
}

impl PairLayout {
    /// Feature f pairs with `first[f]..ends[f]`: none, or all of them above f.
    pub fn new(first: &[u32], ends: &[u32]) -> Result<Self, Refused> {
        if first.len() != ends.len() {
            return Err(Refused("first and ends must have the same length".into()));
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

    /// Number of features.
    pub fn features(&self) -> usize {
        self.first.len()
    }

    /// Number of entries of the table.
    pub fn size(&self) -> usize {
        self.starts[self.features()]
    }

    pub(super) fn entries(&self, feature: usize) -> Range<usize> {
        self.between(feature, feature + 1)
    }

    /// The entries of the features from `first` up to, and without, `end`.
    pub(super) fn between(&self, first: usize, end: usize) -> Range<usize> {
        self.starts[first]..self.starts[end]
    }

    /// Which of its entries a feature has with a partner; beyond all of them if they are no pair.
    #[inline(always)]
    pub(super) fn entry_of(&self, feature: usize, partner: u32) -> usize {
        partner.wrapping_sub(self.first[feature]) as usize
    }

    fn partners(&self, feature: usize) -> Range<usize> {
        let first = self.first[feature] as usize;
        first..first + self.entries(feature).len()
    }

    /// For every row of `rows` the sum of the entries of its pairs: of a feature's in float32.
    pub fn sums(&self, rows: &FeatureRows, table: &[f64], out: &mut [f64], threads: usize) {
        let table: Vec<f32> = table.iter().map(|&entry| entry as f32).collect();
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

    /// For every feature f, Σ table[f, g] · centre[g] over its pairs.
    ///
    /// This is subtracted from the additive effect of f if entries are those of centred features:
    /// (x_f − centre[f]) (x_g − centre[g]).
    pub fn shifted(&self, table: &[f64], centre: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (feature, &mean) in centre.iter().enumerate() {
            let partners = self.partners(feature);
            let others = &centre[partners.clone()];
            let mut sum = 0.0;
            let pairs = table[self.entries(feature)].iter().zip(others);
            for ((&effect, &other), partner) in pairs.zip(&mut out[partners]) {
                sum += effect * other;
                *partner += effect * mean;
            }
            out[feature] += sum;
        }
    }

    /// For every entry (f, g) the sum of `weights[row]` over the rows that have its pair, minus
    /// single[f] · centre[g] + single[g] · centre[f].
    ///
    /// With single[f] the sum over rows that have f, and weights of sum 0, this is the transpose
    /// for centred features. Each thread has its own entries and reads all rows.
    pub fn transposed(
        &self,
        rows: &FeatureRows,
        weights: &[f64],
        single: &[f64],
        centre: &[f64],
        out: &mut [f64],
        threads: usize,
    ) {
        let threads = worth(threads, rows.pairs());
        self.for_shares(rows, out, threads, |share, part| {
            self.begin(single, centre, share.clone(), part);
            self.add(rows, weights, share, part, |sum, weight| *sum += weight);
        });
    }

    /// Call `fill` with the features of every thread and their part of `out`, which has an element
    /// for every entry.
    pub(super) fn for_shares<T: Send>(
        &self,
        rows: &FeatureRows,
        out: &mut [T],
        threads: usize,
        fill: impl Fn(Range<usize>, &mut [T]) + Sync,
    ) {
        thread::scope(|scope| {
            let (fill, mut rest) = (&fill, out);
            for share in self.shares(rows, threads) {
                let size = self.between(share.start, share.end).len();
                let (part, after) = rest.split_at_mut(size);
                rest = after;
                match rest.is_empty() {
                    true => fill(share, part),
                    false => drop(scope.spawn(move || fill(share, part))),
                }
            }
        });
    }

    /// What centring takes from the entries of the features in `share`, which are in `out`.
    pub(super) fn begin(
        &self,
        single: &[f64],
        centre: &[f64],
        share: Range<usize>,
        out: &mut [f64],
    ) {
        let offset = self.starts[share.start];
        for feature in share {
            let (mean, sum) = (centre[feature], single[feature]);
            let entries = self.entries(feature);
            let out = &mut out[entries.start - offset..entries.end - offset];
            let partners = self.partners(feature);
            let others = centre[partners.clone()].iter().zip(&single[partners]);
            for (out, (&centre, &single)) in out.iter_mut().zip(others) {
                *out = -(sum * centre + single * mean);
            }
        }
    }

    /// Features in up to `threads` stretches of about as many pairs, were mutations independent.
    fn shares(&self, rows: &FeatureRows, threads: usize) -> Vec<Range<usize>> {
        let mut before = vec![0u64];
        for &count in &rows.counts {
            before.push(before[before.len() - 1] + count);
        }
        let mut work = vec![0.0];
        for feature in 0..self.features() {
            let partners = self.partners(feature);
            let partners = before[partners.end] - before[partners.start];
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

    /// `plus` the weights of rows to the entries of the features in `share`, which are in `out`.
    #[inline(always)]
    pub(super) fn add<T>(
        &self,
        rows: &FeatureRows,
        weights: &[T],
        share: Range<usize>,
        out: &mut [T],
        plus: impl Fn(&mut T, &T),
    ) {
        let offset = self.starts[share.start];
        for (row, weight) in weights.iter().enumerate() {
            for (feature, partners) in with_later(rows.row(row), &share) {
                let entries = self.entries(feature);
                let entries = &mut out[entries.start - offset..entries.end - offset];
                for &partner in partners {
                    if let Some(sum) = entries.get_mut(self.entry_of(feature, partner)) {
                        plus(sum, weight);
                    }
                }
            }
        }
    }
}

/// Those of the features of a row that are in `share`, each with all that are after it.
#[inline(always)]
pub(super) fn with_later<'a>(
    features: &'a [u32],
    share: &Range<usize>,
) -> impl Iterator<Item = (usize, &'a [u32])> {
    let (from, end) = (share.start, share.end);
    let from = features.partition_point(|&feature| (feature as usize) < from);
    let each = features.iter().enumerate().skip(from);
    each.map(|(at, &feature)| (feature as usize, &features[at + 1..]))
        .take_while(move |&(feature, _)| feature < end)
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
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub const SIZE: u32 = 12;

    pub fn rows() -> impl Strategy<Value = Vec<Vec<u32>>> {
        let row = proptest::collection::btree_set(0..SIZE, 0..8);
        proptest::collection::vec(row.prop_map(|row| row.into_iter().collect()), 0..20)
    }

    pub fn made(rows: &[Vec<u32>]) -> FeatureRows {
        let mut starts = vec![0];
        rows.iter()
            .for_each(|row| starts.push(starts[starts.len() - 1] + row.len() as i64));
        FeatureRows::new(&starts, &rows.concat(), SIZE as usize).unwrap()
    }

    /// Every feature with up to `reach` later ones, `skip` after it.
    pub fn layout(skip: u32, reach: u32) -> PairLayout {
        let first: Vec<u32> = (0..SIZE)
            .map(|feature| SIZE.min(feature + 1 + skip))
            .collect();
        let end: Vec<u32> = first.iter().map(|&first| SIZE.min(first + reach)).collect();
        PairLayout::new(&first, &end).unwrap()
    }

    impl PairLayout {
        /// The entry of two features, if they are a pair, one by one.
        fn entry(&self, a: usize, b: usize) -> Option<usize> {
            let first = self.first[a] as usize;
            let there = b > a && b >= first && b - first < self.entries(a).len();
            there.then(|| self.starts[a] + b - first)
        }
    }

    proptest! {
        #[test]
        fn sums_are_those_of_all_pairs_one_by_one(
            rows in rows(), skip in 0..3u32, reach in 0..12u32, threads in 1..5usize,
        ) {
            let (made, pairs) = (made(&rows), layout(skip, reach));
            let table: Vec<f64> = (0..pairs.size()).map(|entry| (entry * entry) as f64).collect();
            let weights: Vec<f64> = (0..rows.len()).map(|row| (1 << row) as f64).collect();
            let centre: Vec<f64> = (0..SIZE).map(|feature| f64::from(feature % 3)).collect();
            let single: Vec<f64> = (0..SIZE).map(|feature| f64::from(feature % 5)).collect();
            let (mut sums, mut wanted_sums) = (vec![9.0; rows.len()], vec![0.0; rows.len()]);
            let (mut sides, mut wanted_sides) = (vec![9.0; pairs.size()], vec![0.0; pairs.size()]);
            let (mut shifts, mut wanted_shifts) = ([9.0; SIZE as usize], [0.0; SIZE as usize]);
            for (a, b) in (0..SIZE as usize).flat_map(|a| (0..SIZE as usize).map(move |b| (a, b))) {
                if let Some(entry) = pairs.entry(a, b) {
                    let effect = table[entry];
                    wanted_shifts[a] += effect * centre[b];
                    wanted_shifts[b] += effect * centre[a];
                    wanted_sides[entry] -= single[a] * centre[b] + single[b] * centre[a];
                    for (row, features) in rows.iter().enumerate() {
                        if features.contains(&(a as u32)) && features.contains(&(b as u32)) {
                            wanted_sums[row] += effect;
                            wanted_sides[entry] += weights[row];
                        }
                    }
                }
            }
            pairs.sums(&made, &table, &mut sums, threads);
            pairs.transposed(&made, &weights, &single, &centre, &mut sides, threads);
            pairs.shifted(&table, &centre, &mut shifts);
            prop_assert_eq!(sums, wanted_sums);
            prop_assert_eq!(sides, wanted_sides);
            prop_assert_eq!(shifts, wanted_shifts);
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
