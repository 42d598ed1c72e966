//! Shuffles of a row that keep its k-mer counts.
//!
//! A row is a path through its (k-1)-mers, every k-mer of it an edge; another path over the same
//! edges is another row with the same k-mers, and the same first and last (k-1)-mer (Altschul &
//! Erickson 1985). All such rows are equally probable: the edges by which the vertices are left
//! for the last time are a uniform tree towards the last vertex, and the other edges of a vertex
//! are taken in any order (Kandel et al. 1996; Jiang et al. 2008, uShuffle). The unknown token is
//! a symbol like the others.

mod draws;
mod pairs;
mod tree;
mod words;

use crate::parallel::for_rows_with;
use crate::rng::{Domain, Rng};
use draws::permute;
use pairs::{walk, Pairs, Trail};
use std::array;
use words::Words;

/// Rows that are walked at once: their steps do not wait for each other.
const LANES: usize = 4;

/// Buffers of `shuffle_row`, kept from row to row.
#[derive(Default)]
pub struct ShuffleScratch {
    pairs: Pairs,
    trails: [Trail; LANES],
    words: Words,
}

/// Shuffle `source` into `out`, as long, so that its k-mers (`k` above 0) stay as frequent.
///
/// The tokens must be at most `alphabet_size`, the unknown one, which is at most 64; there must be
/// less than 2^32 of them. `rng` must be at the start of its row. A row that is no longer than `k`
/// has no other order and is copied.
pub fn shuffle_row(
    source: &[u8],
    k: usize,
    alphabet_size: usize,
    rng: &mut Rng,
    scratch: &mut ShuffleScratch,
    out: &mut [u8],
) {
    out.copy_from_slice(source);
    if source.len() <= k {
        return;
    }
    match k {
        1 => permute(out, 1, rng),
        2 if Pairs::fit(alphabet_size) => {
            let [trail, ..] = &mut scratch.trails;
            scratch.pairs.lay(source, alphabet_size, rng, trail);
            walk([trail], [out]);
        }
        _ => scratch.words.shuffle(source, k, alphabet_size, rng, out),
    }
}

/// How rows are shuffled: `copies` (above 0) times each, their k-mers kept.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    pub k: usize,
    pub alphabet_size: usize,
    pub seed: u64,
    pub first_row: u64,
    pub copies: usize,
}

impl Shuffle {
    /// Shuffle the rows of `tokens`, of `length` symbols (above 0), into `out`.
    ///
    /// The copies of a row are adjacent. Copy c of row i has the random numbers of (`seed`,
    /// `first_row` + i, c): it depends neither on other rows nor on the number of copies.
    pub fn rows(&self, tokens: &[u8], length: usize, out: &mut [u8], threads: usize) {
        let scratch = || {
            let rng = Rng::new(self.seed, Domain::Shuffle);
            (rng, ShuffleScratch::default())
        };
        let group = LANES * length;
        for_rows_with(
            out,
            group,
            threads,
            scratch,
            |(rng, scratch), index, out| {
                let start = |rng: &mut Rng, lane: usize| {
                    self.start(tokens, length, index * LANES + lane, rng)
                };
                if out.len() == group && self.k == 2 && Pairs::fit(self.alphabet_size) {
                    for (lane, trail) in scratch.trails.iter_mut().enumerate() {
                        let source = start(rng, lane);
                        scratch.pairs.lay(source, self.alphabet_size, rng, trail);
                    }
                    let mut rows = out.chunks_exact_mut(length);
                    let rows = array::from_fn(|_| rows.next().unwrap_or_default());
                    return walk(scratch.trails.each_mut(), rows);
                }
                for (lane, out) in out.chunks_exact_mut(length).enumerate() {
                    let source = start(rng, lane);
                    shuffle_row(source, self.k, self.alphabet_size, rng, scratch, out);
                }
            },
        );
    }

    /// The source of row `index` of the output; `rng` is set to its first number.
    fn start<'a>(&self, tokens: &'a [u8], length: usize, index: usize, rng: &mut Rng) -> &'a [u8] {
        let (row, copy) = (index / self.copies, index % self.copies);
        rng.start(self.first_row.wrapping_add(row as u64), copy as u64);
        &tokens[row * length..][..length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn plan(k: usize, alphabet_size: usize) -> Shuffle {
        Shuffle {
            k,
            alphabet_size,
            seed: 1,
            first_row: 0,
            copies: 1,
        }
    }

    fn shuffled(plan: Shuffle, tokens: &[u8], length: usize, threads: usize) -> Vec<u8> {
        let mut out = vec![0xff; tokens.len() * plan.copies];
        plan.rows(tokens, length, &mut out, threads);
        out
    }

    fn kmers(row: &[u8], k: usize) -> BTreeMap<&[u8], usize> {
        let mut counts = BTreeMap::new();
        row.windows(k)
            .for_each(|kmer| *counts.entry(kmer).or_default() += 1);
        counts
    }

    fn ends(row: &[u8], k: usize) -> (&[u8], &[u8]) {
        (&row[..k - 1], &row[row.len() + 1 - k..])
    }

    /// All orders of the symbols of `row` with its k-mers and ends, found by trying every order.
    fn enumerate(row: &[u8], k: usize) -> BTreeSet<Vec<u8>> {
        let mut orders = BTreeSet::from([vec![]]);
        for _ in row {
            let longer = |order: &Vec<u8>| {
                let mut left = row.to_vec();
                for symbol in order {
                    let used = left.iter().position(|other| other == symbol);
                    left.remove(used.unwrap());
                }
                let order = order.clone();
                left.into_iter()
                    .map(move |symbol| [&order[..], &[symbol]].concat())
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        let same = |o: &Vec<u8>| kmers(o, k) == kmers(row, k) && ends(o, k) == ends(row, k);
        orders.into_iter().filter(same).collect()
    }

    /// Above this a chi square has a probability of 1e-4 (Wilson & Hilferty 1931).
    fn chi_square_limit(degrees: f64) -> f64 {
        let part = 2.0 / (9.0 * degrees);
        degrees * (1.0 - part + 3.719 * part.sqrt()).powi(3)
    }

    fn chi_square(row: &[u8], plan: Shuffle, all: &BTreeSet<Vec<u8>>) -> f64 {
        let draws = 20_000;
        let mut seen = BTreeMap::new();
        let rows = shuffled(plan, &row.repeat(draws), row.len(), 1);
        for order in rows.chunks(row.len()) {
            assert!(all.contains(order), "{order:?}");
            *seen.entry(order).or_insert(0.0) += 1.0;
        }
        let expected = draws as f64 / all.len() as f64;
        let counts = all
            .iter()
            .map(|order| *seen.get(&order[..]).unwrap_or(&0.0));
        counts.map(|n| (n - expected).powi(2) / expected).sum()
    }

    #[test]
    fn every_order_is_equally_probable() {
        for (row, k, orders) in [
            (&[0, 1, 2, 3, 3][..], 1, 60),
            (&[0, 0, 1, 1, 0, 0, 2, 0, 1], 2, 24),
            (&[0, 1, 2, 0, 2, 1, 0, 1], 2, 10),
            (&[0, 1, 2, 3, 0, 1, 3, 2, 0, 1], 2, 6),
            (&[0, 4, 1, 4, 4, 2, 1, 4, 0], 2, 6),
            (&[0, 1, 0, 0, 1, 1, 0, 1, 0, 1], 3, 9),
            (&[0, 0, 1, 0, 0, 0, 4, 0, 1, 0], 3, 4),
        ] {
            let all = enumerate(row, k);
            assert_eq!(all.len(), orders, "{row:?}");
            // Pairs of few symbols have their own implementation.
            for alphabet_size in [4, 20] {
                let chi = chi_square(row, plan(k, alphabet_size), &all);
                assert!(
                    chi < chi_square_limit(orders as f64 - 1.0),
                    "{row:?}: {chi}"
                );
            }
        }
    }

    fn case() -> impl Strategy<Value = (Vec<u8>, usize, usize)> {
        (1usize..=64, 1usize..120).prop_flat_map(|(size, length)| {
            let symbols = prop_oneof![Just(size as u8), 0..=size as u8, 0..=1u8];
            let few = prop::collection::vec(symbols, length);
            (few, Just(size), 1usize..30)
        })
    }

    proptest! {
        #[test]
        fn kmers_symbols_and_ends_are_kept((row, size, k) in case()) {
            let out = shuffled(plan(k, size), &row, row.len(), 1);
            prop_assert_eq!(kmers(&out, 1), kmers(&row, 1));
            if k < row.len() {
                prop_assert_eq!(kmers(&out, k), kmers(&row, k));
                prop_assert_eq!(ends(&out, k), ends(&row, k));
            } else {
                prop_assert_eq!(out, row);
            }
        }

        #[test]
        fn a_row_depends_on_its_index_alone(
            rows in prop::collection::vec(prop::collection::vec(0u8..=4, 20), 1..12),
            (k, copies, threads) in (1usize..5, 1usize..4, 2usize..5),
            first_row in any::<u64>(),
        ) {
            let all = Shuffle { first_row, copies, ..plan(k, 4) };
            let whole = shuffled(all, &rows.concat(), 20, 1);
            prop_assert_eq!(&shuffled(all, &rows.concat(), 20, threads), &whole);
            for (index, row) in rows.iter().enumerate() {
                let alone = Shuffle { first_row: first_row.wrapping_add(index as u64), ..all };
                prop_assert_eq!(&shuffled(alone, row, 20, 1)[..], &whole[index * 20 * copies..][..20 * copies]);
                let once = Shuffle { copies: 1, ..alone };
                prop_assert_eq!(&shuffled(once, row, 20, 1)[..], &whole[index * 20 * copies..][..20]);
            }
        }
    }
}
