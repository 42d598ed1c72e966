//! Random mutagenesis: copies of a wild type, each with its own random mutations.

use super::counts::Counts;
use super::{refuse, Refused, Scratch, Site, Substitutions, Taken, Target, STOPPED, STRETCH};
use crate::alphabet::Alphabet;
use crate::parallel::map_shares;
use crate::rng::{Domain, Rng};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Which positions of a row change.
#[derive(Clone, Debug)]
pub enum Places {
    /// So many, drawn without replacement.
    Counts(Counts),
    /// Each position independently: probabilities in 2^-32, in the order of the target's positions.
    Rates(Vec<u64>),
}

/// What a position changes to.
#[derive(Clone, Debug)]
pub enum Symbols {
    /// Any other symbol, with equal probability.
    Uniform,
    /// By wild-type symbol: where the shares of the symbols end, in 2^-32.
    Weighted(Vec<Vec<u64>>),
}

impl Symbols {
    /// From `weights[wild type][new symbol]`; the diagonal is ignored.
    pub fn weighted(
        weights: &[Vec<f64>],
        target: &Target,
        alphabet: &Alphabet,
    ) -> Result<Self, Refused> {
        let size = usize::from(target.size);
        if weights.len() != size || weights.iter().any(|row| row.len() != size) {
            return refuse(format!(
                "symbol weights must be {size} rows of {size} numbers"
            ));
        }
        let ends = |(wild, row): (usize, &Vec<f64>)| {
            let weight = |symbol: usize| if symbol == wild { 0.0 } else { row[symbol] };
            let total: f64 = (0..size).map(weight).sum();
            if (0..size).any(|symbol| weight(symbol) < 0.0) || !total.is_finite() {
                return refuse("symbol weights must be finite and not negative");
            }
            let occurs = target
                .sites
                .iter()
                .any(|site| usize::from(site.wild) == wild);
            if total <= 0.0 && occurs {
                return refuse(format!(
                    "symbol {} of the wild type has no weight to change",
                    char::from(alphabet.symbol(wild as u8))
                ));
            }
            let mut sum = 0.0;
            let mut ends: Vec<u64> = (0..size)
                .map(|symbol| {
                    sum += weight(symbol);
                    (sum / total * 2f64.powi(32)) as u64
                })
                .collect();
            if let Some(last) = (0..size).rposition(|symbol| weight(symbol) > 0.0) {
                ends[last..].fill(1 << 32);
            }
            Ok(ends)
        };
        Ok(Symbols::Weighted(
            weights
                .iter()
                .enumerate()
                .map(ends)
                .collect::<Result<_, _>>()?,
        ))
    }
}

/// Random mutagenesis of a target.
#[derive(Clone)]
pub struct Random {
    pub target: Target,
    pub places: Places,
    pub symbols: Symbols,
    pub rows: u64,
    pub seed: u64,
    /// Row 0 is the wild type.
    pub wild_first: bool,
    /// Rows whose first draws repeated an earlier row, and which of their draws is taken.
    attempts: HashMap<u64, u64>,
}

/// Draws at a row before it is given up as not to be made distinct.
const MAX_ATTEMPTS: u64 = 10_000;

impl Random {
    pub fn new(
        target: Target,
        places: Places,
        symbols: Symbols,
        rows: u64,
        seed: u64,
        wild_first: bool,
    ) -> Result<Self, Refused> {
        match &places {
            Places::Counts(counts) if counts.max() > target.sites.len() => {
                return refuse(format!(
                    "{} mutations do not fit into {} positions",
                    counts.max(),
                    target.sites.len()
                ));
            }
            Places::Rates(chances) if chances.len() != target.sites.len() => {
                return refuse("there must be a rate for every position");
            }
            Places::Counts(_) | Places::Rates(_) => {}
        }
        Ok(Random {
            target,
            places,
            symbols,
            rows,
            seed,
            wild_first,
            attempts: HashMap::new(),
        })
    }

    /// Draw rows that repeat an earlier one again, until all are distinct.
    ///
    /// Rows are distinguished by 128 bits of a hash of their mutations. `going` is called now and
    /// then and returns whether to continue.
    pub fn distinct(
        mut self,
        threads: usize,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Refused> {
        let (mut seen, mut scratch) = (HashSet::new(), Scratch::default());
        for start in (0..self.rows).step_by(STRETCH) {
            let end = self.rows.min(start + STRETCH as u64);
            for (row, hash) in (start..).zip(self.hashes(start..end, threads)) {
                let attempt = self.first_new(row, hash, &mut seen, &mut scratch)?;
                if attempt > 0 {
                    self.attempts.insert(row, attempt);
                }
            }
            if !going() {
                return refuse(STOPPED);
            }
        }
        Ok(self)
    }

    /// Hashes of the first draws of `rows`.
    fn hashes(&self, rows: Range<u64>, threads: usize) -> Vec<u128> {
        let share = |rows: Range<u64>| -> Vec<u128> {
            let mut scratch = Scratch::default();
            rows.map(|row| self.hash(row, 0, &mut scratch)).collect()
        };
        map_shares(rows, threads, share).concat()
    }

    /// The first draw of `row` that is not among `seen`, where it is put; `hash` is that of draw 0.
    fn first_new(
        &self,
        row: u64,
        mut hash: u128,
        seen: &mut HashSet<u128>,
        scratch: &mut Scratch,
    ) -> Result<u64, Refused> {
        let mut attempt = 0;
        while !seen.insert(hash) {
            attempt += 1;
            if attempt > MAX_ATTEMPTS {
                return refuse(format!(
                    "only {row} distinct rows were found in {MAX_ATTEMPTS} draws each"
                ));
            }
            hash = self.hash(row, attempt, scratch);
        }
        Ok(attempt)
    }

    /// A hash of the row's mutations that does not depend on their order.
    fn hash(&self, row: u64, attempt: u64, scratch: &mut Scratch) -> u128 {
        let mut hash = 0;
        self.draw(row, attempt, scratch, &mut |position, symbol| {
            let word = u64::from(position) << 8 | u64::from(symbol);
            hash ^= u128::from(mixed(word)) << 64 | u128::from(mixed(!word));
        });
        hash
    }

    #[inline(always)]
    fn draw(&self, row: u64, attempt: u64, scratch: &mut Scratch, put: &mut impl FnMut(u32, u8)) {
        if row == 0 && self.wild_first {
            return;
        }
        let mut rng = Rng::new(self.seed, Domain::Mutations);
        rng.start(row, attempt);
        match &self.places {
            Places::Counts(counts) => {
                let count = counts.draw(rng.next_u64()) as u32;
                self.subset(count, rng, &mut scratch.taken, put);
            }
            Places::Rates(chances) => {
                for (&site, &chance) in self.target.sites.iter().zip(chances) {
                    if u64::from(rng.next_u32()) < chance {
                        let choice = rng.below(self.target.others());
                        put(site.position, self.symbol(site, choice, &mut rng));
                    }
                }
            }
        }
    }

    /// Mutate a uniform subset of `count` positions.
    ///
    /// Bentley and Floyd 1987, "A sample of brilliance".
    #[inline(always)]
    fn subset(&self, count: u32, mut rng: Rng, taken: &mut Taken, put: &mut impl FnMut(u32, u8)) {
        let sites = &self.target.sites[..];
        let (end, others) = (sites.len() as u32, self.target.others());
        let mut taken = taken.begin(sites.len());
        let mut last = end - count;
        if matches!(self.symbols, Symbols::Uniform) {
            // No number for a symbol comes between the draws: they are made two at a time.
            while last + 1 < end {
                let Some(both) = rng.below_both_twice(last + 1, others) else {
                    break;
                };
                for (index, choice) in both {
                    let site = sites[taken.insert_or(index, last) as usize];
                    put(site.position, site.other(choice));
                    last += 1;
                }
            }
        }
        for last in last..end {
            let (index, choice) = rng.below_both(last + 1, others);
            let site = sites[taken.insert_or(index, last) as usize];
            put(site.position, self.symbol(site, choice, &mut rng));
        }
    }

    /// The new symbol at a site; `choice` selects it if all are equally probable.
    #[inline(always)]
    fn symbol(&self, site: Site, choice: u32, rng: &mut Rng) -> u8 {
        match &self.symbols {
            Symbols::Uniform => site.other(choice),
            Symbols::Weighted(ends) => {
                let word = u64::from(rng.next_u32());
                let ends = &ends[usize::from(site.wild)];
                ends.iter().filter(|&&end| end <= word).count() as u8
            }
        }
    }
}

/// A well mixed word. Steele et al. 2014, "Fast splittable pseudorandom number generators".
fn mixed(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

impl Substitutions for Random {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn wild_type(&self) -> &[u8] {
        &self.target.wild
    }

    #[inline]
    fn mutate(&self, row: u64, scratch: &mut Scratch, put: &mut impl FnMut(u32, u8)) {
        let attempt = if self.attempts.is_empty() {
            0
        } else {
            self.attempts.get(&row).copied().unwrap_or(0)
        };
        self.draw(row, attempt, scratch, put);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{mutations, tokens};
    use super::*;
    use proptest::prelude::*;

    fn random(positions: Vec<u32>, places: Places, rows: u64, seed: u64) -> Random {
        let wild = (0..40).map(|at| at % 4).collect();
        let target = Target::new(wild, &positions, &Alphabet::dna()).unwrap();
        Random::new(target, places, Symbols::Uniform, rows, seed, true).unwrap()
    }

    fn all(library: &Random, threads: usize) -> Vec<u8> {
        let mut out = vec![9; library.rows as usize * 40];
        tokens(library, 0, &mut out, threads);
        out
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_threads_or_on_where_one_begins(
            seed in any::<u64>(), threads in 1usize..5, first in 0u64..50,
        ) {
            let library = random((5..30).collect(), Places::Counts(Counts::poisson(4.0, 25).unwrap()), 50, seed);
            let whole = all(&library, 1);
            prop_assert_eq!(&whole, &all(&library, threads));
            let mut part = vec![9; (50 - first as usize) * 40];
            tokens(&library, first, &mut part, threads);
            prop_assert_eq!(&whole[first as usize * 40..], part);
            prop_assert_eq!(mutations(&library, 0..50, threads), mutations(&library, 0..50, 1));
        }

        #[test]
        fn a_fixed_count_changes_that_many_of_the_positions(
            positions in prop::collection::btree_set(0u32..40, 1..40), count in 0usize..40, seed in any::<u64>(),
        ) {
            let positions: Vec<u32> = positions.into_iter().collect();
            let count = count.min(positions.len());
            let library = random(positions.clone(), Places::Counts(Counts::fixed(count)), 20, seed);
            for row in all(&library, 1).chunks(40).skip(1) {
                let changed: Vec<u32> = (0..40).filter(|&at| row[at as usize] != at as u8 % 4).collect();
                prop_assert_eq!(changed.len(), count);
                prop_assert!(changed.iter().all(|at| positions.contains(at)));
            }
        }
    }

    #[test]
    fn subsets_are_uniform() {
        let library = random(
            vec![3, 7, 8, 20, 39],
            Places::Counts(Counts::fixed(2)),
            90_001,
            5,
        );
        let mut hits = HashMap::new();
        let found = mutations(&library, 0..90_001, 2);
        for (pair, symbols) in found.position.chunks(2).zip(found.symbol.chunks(2)) {
            *hits.entry((pair, symbols)).or_insert(0u32) += 1;
        }
        // 10 pairs of positions with 9 pairs of symbols: chi square with 89 degrees of freedom,
        // above 135.9 with probability 0.001.
        assert_eq!(hits.len(), 90);
        let chi: f64 = hits
            .values()
            .map(|&n| (f64::from(n) - 1e3).powi(2) / 1e3)
            .sum();
        assert!(chi < 135.9, "{chi}");
    }

    #[test]
    fn distinct_rows_are_distinct_and_keep_the_first_draws() {
        let places = || Places::Counts(Counts::fixed(1));
        let plain = random(vec![1, 2, 3, 4], places(), 12, 3);
        let library = random(vec![1, 2, 3, 4], places(), 12, 3)
            .distinct(2, &mut || true)
            .unwrap();
        let (before, after) = (all(&plain, 1), all(&library, 1));
        let rows: HashSet<&[u8]> = after.chunks(40).collect();
        assert_eq!(rows.len(), 12);
        let mut earlier = HashSet::new();
        for (before, after) in before.chunks(40).zip(after.chunks(40)) {
            assert!(before == after || earlier.contains(before));
            earlier.insert(after);
        }
        assert!(random(vec![1, 2, 3, 4], places(), 14, 3)
            .distinct(1, &mut || true)
            .is_err());
        let stopped = random(vec![1, 2, 3, 4], places(), 12, 3).distinct(1, &mut || false);
        assert_eq!(stopped.err(), Some(Refused(STOPPED.into())));
    }
}
