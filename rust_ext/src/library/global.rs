//! An element that is mutated, in a new background for every row.

use super::random::Random;
use super::{refuse, Refused, Rows, Scratch, Substitutions, Target};
use crate::background::Background;
use std::ops::Range;

/// Random mutagenesis of an element; everything outside of its positions is background.
pub struct Global {
    element: Random,
    background: Background,
    outside: Vec<Range<usize>>,
    /// Symbols in all of `outside`.
    symbols: usize,
}

impl Global {
    /// Backgrounds are as long as everything outside of the element, joined.
    pub fn new(element: Random, background: Background) -> Result<Self, Refused> {
        let outside = outside(&element.target);
        let symbols = outside.iter().map(Range::len).sum();
        if symbols == 0 {
            return refuse("nothing is outside of the positions to mutate");
        }
        if let Some(length) = background.length().filter(|&length| length != symbols) {
            return refuse(format!(
                "{symbols} symbols lie outside of the positions to mutate, but a background has \
                 {length}"
            ));
        }
        Ok(Global {
            element,
            background,
            outside,
            symbols,
        })
    }

    /// The element, whose substitutions are those of this library.
    pub fn element(&self) -> &Random {
        &self.element
    }
}

/// The stretches between the positions that may change.
fn outside(target: &Target) -> Vec<Range<usize>> {
    let mut from = 0;
    let positions = target.sites.iter().map(|site| site.position as usize);
    let stretches = positions.chain([target.wild.len()]).map(|position| {
        let stretch = from..position;
        from = position + 1;
        stretch
    });
    stretches.filter(|stretch| !stretch.is_empty()).collect()
}

impl Rows for Global {
    fn rows(&self) -> u64 {
        self.element.rows
    }

    fn length(&self) -> usize {
        self.element.target.wild.len()
    }

    fn fill(&self, row: u64, scratch: &mut Scratch, out: &mut [u8]) {
        out.copy_from_slice(&self.element.target.wild);
        let seed = self.element.seed;
        let mut drawn = scratch.drawn.get(&self.background, seed, row, self.symbols);
        for stretch in &self.outside {
            let (symbols, rest) = drawn.split_at(stretch.len());
            out[stretch.clone()].copy_from_slice(symbols);
            drawn = rest;
        }
        self.element.mutate(row, scratch, &mut |position, symbol| {
            out[position as usize] = symbol;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::random::{Places, Symbols};
    use super::super::{mutations, tokens};
    use super::*;
    use crate::alphabet::Alphabet;
    use crate::background::Composition;
    use proptest::prelude::*;

    fn element(positions: &[u32]) -> Random {
        let wild = (0..30).map(|at| at % 4).collect();
        let target = Target::new(wild, positions, &Alphabet::dna()).unwrap();
        let places = Places::Counts(Counts::binomial(positions.len(), 0.4).unwrap());
        Random::new(target, places, Symbols::Uniform, 40, 3, true).unwrap()
    }

    fn given(symbols: usize) -> Background {
        Background::Given {
            rows: vec![4; symbols],
            length: symbols,
        }
    }

    proptest! {
        #[test]
        fn positions_are_those_of_the_element_and_the_rest_is_background(
            positions in prop::collection::btree_set(0u32..30, 1..29), threads in 1usize..4,
        ) {
            let positions: Vec<u32> = positions.into_iter().collect();
            let library = Global::new(element(&positions), given(30 - positions.len())).unwrap();
            let (mut found, mut wanted) = (vec![9; 40 * 30], vec![9; 40 * 30]);
            tokens(&library, 0, &mut found, threads);
            tokens(library.element(), 0, &mut wanted, 1);
            for at in 0..30 * 40 {
                let inside = positions.contains(&(at as u32 % 30));
                prop_assert_eq!(found[at], if inside { wanted[at] } else { 4 });
            }
            let sparse = mutations(library.element(), 0..40, threads);
            prop_assert!(sparse.position.iter().all(|&at| positions.contains(&(at as u32))));
        }
    }

    #[test]
    fn every_row_has_a_background_of_its_own() {
        let random = Background::Random(Composition::uniform(4));
        let library = Global::new(element(&[10, 11, 12]), random).unwrap();
        let mut rows = vec![9; 40 * 30];
        tokens(&library, 0, &mut rows, 1);
        let mut left: Vec<&[u8]> = rows.chunks(30).map(|row| &row[..10]).collect();
        left.sort();
        left.dedup();
        assert_eq!(left.len(), 40);
    }

    #[test]
    fn backgrounds_that_do_not_fit_are_refused() {
        let all: Vec<u32> = (0..30).collect();
        assert!(Global::new(element(&all), given(1)).is_err());
        assert!(Global::new(element(&[1]), given(30)).is_err());
    }
}
