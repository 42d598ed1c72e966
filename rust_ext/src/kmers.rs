//! Frequencies of k-mers in bins of sequences.

use crate::parallel::for_rows_with;
use std::ops::Range;

/// Longest k-mer: 4^6 = 4,096 counts in each bin.
pub const LONGEST: usize = 6;

/// Longest k-mers that are counted in LANES tables in turn: a processor is slow to count the same
/// one twice in a row, and the shorter they are the more often that happens.
const SHORT: usize = 4;
const LANES: usize = 2;

/// Which k-mers are counted, and as which class.
pub struct Kmers {
    k: usize,
    /// Class of each k-mer, numbered in base 4, first base highest.
    class: Vec<u16>,
    classes: usize,
}

impl Kmers {
    /// K-mers on the given strand, or with `canonical` those of both strands, where a k-mer and its
    /// reverse complement are one class, named by the first of the two in alphabetical order.
    ///
    /// `k` must be 1…LONGEST.
    pub fn new(k: usize, canonical: bool) -> Self {
        assert!((1..=LONGEST).contains(&k), "k must be 1…{LONGEST}");
        let mut class = Vec::with_capacity(1 << (2 * k));
        let mut classes = 0;
        for kmer in 0..1 << (2 * k) {
            let other = reverse_complement(kmer, k);
            if canonical && other < kmer {
                class.push(class[other]);
            } else {
                class.push(classes);
                classes += 1;
            }
        }
        Self {
            k,
            class,
            classes: usize::from(classes),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Write the frequency of every class in every bin of every sequence into
    /// `out[sequence, bin, class]`.
    ///
    /// `tokens` holds sequences of `length` tokens (A, C, G, T are 0…3). Bin b has the k-mers whose
    /// centre (start + k / 2) is in [edges[b], edges[b + 1]); `edges` ascend, within 0…length. The
    /// frequency is the share among the k-mers of the bin without an unknown base; all are 0 in a
    /// bin without such k-mers.
    pub fn frequencies(
        &self,
        tokens: &[u8],
        length: usize,
        edges: &[usize],
        out: &mut [f32],
        threads: usize,
    ) {
        let bins = edges.len().saturating_sub(1);
        if bins == 0 || out.is_empty() {
            return;
        }
        let width = bins * self.classes;
        let starts = self.starts(edges, length);
        let first = starts[0];
        let scratch = || Scratch::new(starts[bins] - first, self.k);
        for_rows_with(out, width, threads, scratch, |scratch, index, row| {
            let sequence = &tokens[index * length..][..length];
            self.number(&sequence[first..], scratch);
            for (bin, starts) in row.chunks_mut(self.classes).zip(starts.windows(2)) {
                scratch.count(starts[0] - first..starts[1] - first);
                self.shares(&mut scratch.counts, bin);
            }
        });
    }

    /// Number the k-mers that begin at each of the first places of `sequence`; 4^k if a base is
    /// unknown. Base by base of the k-mers, so that the loops run over many places at once.
    fn number(&self, sequence: &[u8], scratch: &mut Scratch) {
        let Scratch { kmers, unknown, .. } = scratch;
        kmers.fill(0);
        unknown.fill(0);
        if kmers.is_empty() {
            return;
        }
        for place in 0..self.k {
            let tokens = &sequence[place..][..kmers.len()];
            for ((kmer, unknown), &token) in kmers.iter_mut().zip(unknown.iter_mut()).zip(tokens) {
                *kmer = *kmer << 2 | u16::from(token & 3);
                *unknown |= u16::from(token >> 2);
            }
        }
        let none = 1 << (2 * self.k);
        for (kmer, &unknown) in kmers.iter_mut().zip(unknown.iter()) {
            *kmer = if unknown == 0 { *kmer } else { none };
        }
    }

    /// Write counts by class, divided by the number of k-mers without an unknown base, into `out`, and
    /// set them to 0.
    fn shares(&self, counts: &mut [u32], out: &mut [f32]) {
        let known = &mut counts[..=self.class.len()];
        known[self.class.len()] = 0;
        let total: u32 = known.iter().sum();
        let share = if total > 0 { 1.0 / total as f32 } else { 0.0 };
        if self.classes == self.class.len() {
            for (value, count) in out.iter_mut().zip(known) {
                *value = std::mem::take(count) as f32 * share;
            }
            return;
        }
        out.fill(0.0);
        for (&class, count) in self.class.iter().zip(known) {
            out[usize::from(class)] += std::mem::take(count) as f32;
        }
        out.iter_mut().for_each(|value| *value *= share);
    }

    /// For each of `edges` the first start whose centre is not before it, among those of k-mers that
    /// fit into `length`.
    fn starts(&self, edges: &[usize], length: usize) -> Vec<usize> {
        let last = (length + 1).saturating_sub(self.k);
        let start = |&edge: &usize| edge.saturating_sub(self.k / 2).min(last);
        edges.iter().map(start).collect()
    }
}

/// What a thread writes over for each sequence: the numbers of its k-mers, whether they have an
/// unknown base, and the counts of a bin by number, in one or more lanes to be added.
struct Scratch {
    kmers: Vec<u16>,
    unknown: Vec<u16>,
    counts: Vec<u32>,
    lanes: usize,
}

impl Scratch {
    fn new(places: usize, k: usize) -> Self {
        let lanes = if k <= SHORT { LANES } else { 1 };
        Self {
            kmers: vec![0; places],
            unknown: vec![0; places],
            counts: vec![0; lanes * ((1 << (2 * k)) + 1)],
            lanes,
        }
    }

    /// Count the k-mers at `places`; the first lane then has their sum.
    fn count(&mut self, places: Range<usize>) {
        let size = self.counts.len() / self.lanes;
        let kmers = &self.kmers[places];
        if self.lanes == 1 {
            kmers
                .iter()
                .for_each(|&kmer| self.counts[usize::from(kmer)] += 1);
            return;
        }
        let groups = kmers.chunks_exact(LANES);
        for &kmer in groups.remainder() {
            self.counts[usize::from(kmer)] += 1;
        }
        for group in groups {
            for (lane, &kmer) in group.iter().enumerate() {
                self.counts[lane * size + usize::from(kmer)] += 1;
            }
        }
        let (sum, others) = self.counts.split_at_mut(size);
        for lane in others.chunks_exact_mut(size) {
            for (count, more) in sum.iter_mut().zip(lane) {
                *count += std::mem::take(more);
            }
        }
    }
}

fn reverse_complement(kmer: usize, k: usize) -> usize {
    (0..k).fold(0, |turned, place| {
        turned << 2 | (3 - (kmer >> (2 * place) & 3))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_are_all_kmers_or_pairs_of_them() {
        // Palindromes: none of odd length, 4^(k / 2) of even length.
        let pairs = [2, 10, 32, 136, 512, 2080];
        for k in 1..=LONGEST {
            assert_eq!(Kmers::new(k, false).classes(), 1 << (2 * k));
            assert_eq!(Kmers::new(k, true).classes(), pairs[k - 1]);
        }
    }

    #[test]
    fn a_kmer_belongs_to_the_bin_of_its_centre() {
        let sequence = [0, 1, 2, 3, 4, 0]; // AC CG GT, then two with N
        let mut out = [9.0; 3 * 16];
        Kmers::new(2, false).frequencies(&sequence, 6, &[0, 2, 4, 6], &mut out, 1);
        let found: Vec<_> = (0..48)
            .filter(|&i| out[i] != 0.0)
            .map(|i| (i, out[i]))
            .collect();
        // AC (centre 1) in the first bin, CG and GT (2, 3) in the second, none in the third.
        assert_eq!(found, [(1, 1.0), (16 + 6, 0.5), (16 + 11, 0.5)]);
    }

    #[test]
    fn sequences_shorter_than_a_kmer_have_none() {
        let mut out = [9.0; 64];
        Kmers::new(3, false).frequencies(&[0, 0], 2, &[0, 2], &mut out, 1);
        assert_eq!(out, [0.0; 64]);
    }

    #[test]
    fn a_bin_of_no_width_has_none_and_threads_do_not_change_the_rest() {
        let tokens: Vec<u8> = (0..7 * 30).map(|i| (i * i % 5) as u8).collect();
        let kmers = Kmers::new(3, true);
        let edges = [0, 10, 10, 30];
        let mut alone = vec![9.0; 7 * 3 * kmers.classes()];
        kmers.frequencies(&tokens, 30, &edges, &mut alone, 1);
        let empty = &alone[kmers.classes()..][..kmers.classes()];
        assert!(empty.iter().all(|&share| share == 0.0));
        let mut shared = vec![9.0; alone.len()];
        kmers.frequencies(&tokens, 30, &edges, &mut shared, 3);
        assert_eq!(alone, shared);
    }

    proptest! {
        #[test]
        fn frequencies_of_a_bin_sum_to_one_or_zero_and_strands_agree(
            sequence in prop::collection::vec(0u8..=4, 1..80),
            k in 1usize..=LONGEST,
            threads in 1usize..4,
        ) {
            let (length, canonical) = (sequence.len(), Kmers::new(k, true));
            let turned: Vec<u8> =
                sequence.iter().rev().map(|&t| if t < 4 { 3 - t } else { t }).collect();
            let mut out = vec![0.0; canonical.classes()];
            let mut other = out.clone();
            canonical.frequencies(&sequence, length, &[0, length], &mut out, threads);
            canonical.frequencies(&turned, length, &[0, length], &mut other, threads);
            let whole: f32 = out.iter().sum();
            prop_assert!(whole == 0.0 || (whole - 1.0).abs() < 1e-4);
            // The one bin has every k-mer of the sequence, so both strands have the same.
            for (a, b) in out.iter().zip(&other) {
                prop_assert!((a - b).abs() < 1e-5);
            }
        }
    }
}
