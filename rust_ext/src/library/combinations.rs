//! Every combination of substitutions up to an order, or a sample of them.
//!
//! Rows are ordered by order, then by positions as in `itertools.combinations`, then by symbols as in
//! `itertools.product`.

use super::{refuse, Refused, Scratch, Substitutions, Target, STOPPED, STRETCH};
use crate::rng::{Domain, Rng};
use std::collections::HashSet;

/// The combinations of one order.
#[derive(Clone, Debug)]
struct Order {
    /// Its first one, counted over all orders.
    first: u64,
    /// Positions in a combination.
    size: usize,
    /// Sets of positions, and ways to put symbols on one of them.
    sets: u64,
    spellings: u64,
}

/// All combinations of `orders` positions, or those of `ranks`.
pub struct Combinations {
    target: Target,
    orders: Vec<Order>,
    total: u64,
    /// `binomials[k][n]`: ways to choose k of n.
    binomials: Vec<Vec<u64>>,
    ranks: Option<Vec<u64>>,
    seed: u64,
}

/// The set of positions that a thread wrote last: rows that follow each other share it.
#[derive(Default)]
pub struct Cursor {
    size: usize,
    set: Option<u64>,
    indices: Vec<u32>,
}

impl Combinations {
    /// Combinations of `min_order` to `max_order` positions.
    pub fn new(
        target: Target,
        min_order: usize,
        max_order: usize,
        seed: u64,
    ) -> Result<Self, Refused> {
        let places = target.sites.len();
        if min_order > max_order || max_order > places {
            return refuse(format!(
                "orders {min_order} to {max_order} do not fit into {places} positions"
            ));
        }
        let too_many = || {
            Refused(format!(
                "combinations of {max_order} of {places} positions are 2^64 or more"
            ))
        };
        let binomials = binomials(places, max_order).ok_or_else(too_many)?;
        let (mut orders, mut total) = (Vec::new(), 0u64);
        for (size, row) in binomials.iter().enumerate().skip(min_order) {
            let sets = row[places];
            let order = u64::from(target.others())
                .checked_pow(size as u32)
                .map(|spellings| Order {
                    first: total,
                    size,
                    sets,
                    spellings,
                })
                .ok_or_else(too_many)?;
            total = sets
                .checked_mul(order.spellings)
                .and_then(|rows| total.checked_add(rows))
                .ok_or_else(too_many)?;
            orders.push(order);
        }
        Ok(Combinations {
            target,
            orders,
            total,
            binomials,
            ranks: None,
            seed,
        })
    }

    /// How many combinations there are, sampled or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Keep `rows` of them, uniformly drawn without replacement, in their order. `going` is
    /// called regularly and returns whether to continue.
    pub fn sample(mut self, rows: u64, going: &mut dyn FnMut() -> bool) -> Result<Self, Refused> {
        if rows > self.total {
            return refuse(format!(
                "{rows} rows cannot be drawn from {} combinations without replacement",
                self.total
            ));
        }
        let mut rng = Rng::new(self.seed, Domain::Sample);
        rng.start(0, 0);
        let mut taken = HashSet::new();
        for last in self.total - rows..self.total {
            let drawn = rng.below_u64(last + 1);
            if !taken.insert(drawn) {
                taken.insert(last);
            }
            if last % STRETCH as u64 == 0 && !going() {
                return refuse(STOPPED);
            }
        }
        let mut ranks: Vec<u64> = taken.into_iter().collect();
        ranks.sort_unstable();
        self.ranks = Some(ranks);
        Ok(self)
    }

    /// Put the indices of the `set`-th combination into the cursor.
    fn seek(&self, cursor: &mut Cursor, order: &Order, set: u64) {
        if cursor.size == order.size && cursor.set == Some(set) {
            return;
        }
        let next = cursor.size == order.size && cursor.set.is_some_and(|last| last + 1 == set);
        if next {
            self.advance(&mut cursor.indices);
        } else {
            self.unrank(&mut cursor.indices, order, set);
        }
        (cursor.size, cursor.set) = (order.size, Some(set));
    }

    /// The combination after this one.
    fn advance(&self, indices: &mut [u32]) {
        let (places, size) = (self.target.sites.len(), indices.len());
        let movable = (0..size).rfind(|&at| (indices[at] as usize) < places - size + at);
        if let Some(at) = movable {
            let first = indices[at] + 1;
            for (index, value) in indices[at..].iter_mut().zip(first..) {
                *index = value;
            }
        }
    }

    /// Combinatorial number system, turned so that sets rise by their first position.
    fn unrank(&self, indices: &mut Vec<u32>, order: &Order, set: u64) {
        indices.clear();
        let places = self.target.sites.len();
        let mut rest = order.sets - 1 - set;
        for left in (1..=order.size).rev() {
            let index = self.binomials[left][..=places].partition_point(|&sets| sets <= rest) - 1;
            rest -= self.binomials[left][index];
            indices.push((places - 1 - index) as u32);
        }
    }
}

/// `table[k][n]` of n choose k for n up to `places`; None when one does not fit.
fn binomials(places: usize, max_order: usize) -> Option<Vec<Vec<u64>>> {
    let mut table = vec![vec![1u64; places + 1]];
    for k in 1..=max_order {
        let mut row = vec![0u64; places + 1];
        for n in k..=places {
            row[n] = row[n - 1].checked_add(table[k - 1][n - 1])?;
        }
        table.push(row);
    }
    Some(table)
}

impl Substitutions for Combinations {
    fn rows(&self) -> u64 {
        self.ranks
            .as_ref()
            .map_or(self.total, |ranks| ranks.len() as u64)
    }

    fn wild_type(&self) -> &[u8] {
        &self.target.wild
    }

    #[inline]
    fn mutate(&self, row: u64, scratch: &mut Scratch, put: &mut impl FnMut(u32, u8)) {
        let rank = self.ranks.as_ref().map_or(row, |ranks| ranks[row as usize]);
        let order = &self.orders[self.orders.partition_point(|order| order.first <= rank) - 1];
        let set = (rank - order.first) / order.spellings;
        let mut spelling = (rank - order.first) % order.spellings;
        self.seek(&mut scratch.combination, order, set);
        let others = u64::from(self.target.others());
        for &index in scratch.combination.indices.iter().rev() {
            let site = self.target.sites[index as usize];
            put(site.position, site.other((spelling % others) as u32));
            spelling /= others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;
    use crate::alphabet::Alphabet;

    fn target(places: &[u32]) -> Target {
        Target::new(vec![0, 1, 2, 3, 0, 1], places, &Alphabet::dna()).unwrap()
    }

    fn rows(library: &Combinations, threads: usize) -> Vec<Vec<u8>> {
        let mut out = vec![0; library.rows() as usize * 6];
        tokens(library, 0, &mut out, threads);
        out.chunks(6).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn all_orders_are_every_sequence_over_the_positions() {
        let library = Combinations::new(target(&[1, 3, 4]), 0, 3, 1).unwrap();
        let mut found = rows(&library, 1);
        assert_eq!(found, rows(&library, 3));
        assert_eq!(found[0], [0, 1, 2, 3, 0, 1]);
        assert_eq!(found[1], [0, 0, 2, 3, 0, 1]);
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 64);
    }

    #[test]
    fn a_sample_is_uniform() {
        let mut hits = [0u32; 37];
        for seed in 0..4000 {
            let library = Combinations::new(target(&[0, 2, 5]), 0, 2, seed).unwrap();
            assert_eq!(library.total(), 37);
            let sample = library.sample(10, &mut || true).unwrap();
            sample
                .ranks
                .unwrap()
                .iter()
                .for_each(|&rank| hits[rank as usize] += 1);
        }
        // Counts of a hypergeometric draw: chi square with 36 degrees of freedom, scaled by the
        // share that is not drawn; above 67.9 with probability 0.001.
        let wanted = 4000.0 * 10.0 / 37.0;
        let chi: f64 = hits
            .iter()
            .map(|&n| (f64::from(n) - wanted).powi(2) / wanted)
            .sum();
        assert!(chi / (27.0 / 36.0) < 67.9, "{chi}");
    }

    #[test]
    fn too_many_and_impossible_orders_are_refused() {
        let wide = Target::new(
            vec![0; 3000],
            &(0..3000).collect::<Vec<_>>(),
            &Alphabet::dna(),
        )
        .unwrap();
        assert!(Combinations::new(wide, 0, 9, 1).is_err());
        assert!(Combinations::new(target(&[1, 2]), 0, 3, 1).is_err());
        let few = Combinations::new(target(&[1]), 0, 1, 1).unwrap();
        assert!(few.sample(5, &mut || true).is_err());
    }
}
