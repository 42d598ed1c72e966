//! Motifs in backgrounds: every point of a design in every background.

use super::{refuse, Refused, Rows, Scratch};
use crate::background::Background;
use crate::rng::{Domain, Rng};

/// A motif: the symbols allowed at each of its positions.
#[derive(Clone, Debug)]
pub struct Word {
    /// A bit for every symbol allowed there; none where the background's symbol is kept.
    symbols: Vec<u64>,
    /// Whether any position has several symbols, so that one is drawn.
    drawn: bool,
}

impl Word {
    pub fn new(symbols: Vec<u64>) -> Self {
        let drawn = symbols.iter().any(|symbols| symbols.count_ones() > 1);
        Word { symbols, drawn }
    }
}

/// The place of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub word: usize,
    pub start: usize,
    /// Whether it is the reverse complement of the word.
    pub minus: bool,
}

/// The places of all words: `motifs` places, some of them empty, for every point.
#[derive(Clone, Debug)]
pub struct Design {
    pub words: Vec<Word>,
    pub motifs: usize,
    pub places: Vec<Option<Place>>,
}

/// Row `b * points + p` is point p in background b.
///
/// Symbols of a word that are drawn are a function of seed, background and word: all points share
/// them as they share the background.
pub struct Factorial {
    design: Design,
    background: Background,
    length: usize,
    points: u64,
    rows: u64,
    seed: u64,
    /// Whether every row has its own background instead.
    unpaired: bool,
    pairs: Vec<u8>,
}

impl Factorial {
    /// `pairs` has the complement of every token; empty if symbols have none.
    pub fn new(
        design: Design,
        background: Background,
        length: usize,
        backgrounds: u64,
        seed: u64,
        unpaired: bool,
        pairs: &[u8],
    ) -> Result<Self, Refused> {
        let points = (design.places.len() / design.motifs.max(1)) as u64;
        if points == 0 || backgrounds == 0 || length == 0 {
            return refuse("a design needs points, backgrounds and symbols");
        }
        if background.length().is_some_and(|known| known != length) {
            return refuse(format!("backgrounds must have {length} symbols"));
        }
        let rows = points.checked_mul(backgrounds);
        let Some(rows) = rows.filter(|rows| *rows < 1 << 63) else {
            return refuse(format!(
                "{points} design points in {backgrounds} backgrounds are 2^63 rows or more"
            ));
        };
        check(&design, length, pairs)?;
        Ok(Factorial {
            design,
            background,
            length,
            points,
            rows,
            seed,
            unpaired,
            pairs: pairs.to_vec(),
        })
    }

    /// Put a word into `out`.
    fn put(&self, place: Place, background: u64, out: &mut [u8]) {
        let word = &self.design.words[place.word];
        let mut rng = Rng::new(self.seed, Domain::Design);
        if word.drawn {
            rng.start(background, place.word as u64);
        }
        let out = &mut out[place.start..][..word.symbols.len()];
        for (at, &symbols) in word.symbols.iter().enumerate() {
            let token = match symbols.count_ones() {
                0 => continue,
                1 => symbols.trailing_zeros(),
                several => chosen(symbols, rng.below(several)),
            } as u8;
            if place.minus {
                out[word.symbols.len() - 1 - at] = self.pairs[usize::from(token)];
            } else {
                out[at] = token;
            }
        }
    }
}

/// The `choice`-th of the `symbols`.
fn chosen(mut symbols: u64, choice: u32) -> u32 {
    for _ in 0..choice {
        symbols &= symbols - 1;
    }
    symbols.trailing_zeros()
}

fn check(design: &Design, length: usize, pairs: &[u8]) -> Result<(), Refused> {
    for place in design.places.iter().flatten() {
        let Some(word) = design.words.get(place.word) else {
            return refuse(format!("there is no word {}", place.word));
        };
        if place.start > length || word.symbols.len() > length - place.start {
            return refuse(format!(
                "a word of {} symbols at {} is outside of the sequence",
                word.symbols.len(),
                place.start
            ));
        }
        if place.minus && pairs.is_empty() {
            return refuse(
                "symbols of this alphabet have no complement: motifs have one strand only",
            );
        }
    }
    Ok(())
}

impl Rows for Factorial {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn length(&self) -> usize {
        self.length
    }

    fn fill(&self, row: u64, scratch: &mut Scratch, out: &mut [u8]) {
        let point = (row % self.points) as usize * self.design.motifs;
        let index = if self.unpaired {
            row
        } else {
            row / self.points
        };
        let drawn = &mut scratch.drawn;
        out.copy_from_slice(drawn.get(&self.background, self.seed, index, self.length));
        let places = &self.design.places[point..][..self.design.motifs];
        for place in places.iter().flatten() {
            self.put(*place, index, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;
    use crate::alphabet::PAIRS;
    use crate::background::Composition;

    /// Nothing; TGA(C or G)N on the forward strand; the same on the reverse strand.
    fn design() -> Design {
        let place = |start, minus| {
            Some(Place {
                word: 0,
                start,
                minus,
            })
        };
        Design {
            words: vec![Word::new(vec![8, 4, 1, 6, 0])],
            motifs: 1,
            places: vec![None, place(0, false), place(3, true)],
        }
    }

    fn library(backgrounds: u64, unpaired: bool) -> Factorial {
        let random = Background::Random(Composition::uniform(4));
        Factorial::new(design(), random, 9, backgrounds, 5, unpaired, &PAIRS).unwrap()
    }

    fn rows(library: &Factorial, threads: usize) -> Vec<Vec<u8>> {
        let mut out = vec![9; library.rows as usize * 9];
        tokens(library, 0, &mut out, threads);
        out.chunks(9).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn points_of_a_background_differ_in_their_motifs_alone() {
        let found = rows(&library(50, false), 1);
        assert_eq!(found, rows(&library(50, false), 3));
        let mut drawn = [0; 4];
        for points in found.chunks(3) {
            let [none, plus, minus] = points else {
                panic!("{points:?}")
            };
            let symbol = plus[3];
            drawn[usize::from(symbol)] += 1;
            let plus_wanted = [&[3, 2, 0, symbol][..], &none[4..]].concat();
            let turned = [3 - symbol, 3, 1, 0];
            let minus_wanted = [&none[..4], &turned, &none[8..]].concat();
            assert_eq!((plus, minus), (&plus_wanted, &minus_wanted));
        }
        // Binomial: the chance of 10 or fewer of 50 is 1e-5.
        assert!(drawn[1] > 10 && drawn[2] > 10 && drawn[1] + drawn[2] == 50);
    }

    #[test]
    fn more_backgrounds_add_rows_at_the_end() {
        for unpaired in [false, true] {
            let (few, many) = (
                rows(&library(3, unpaired), 1),
                rows(&library(5, unpaired), 2),
            );
            assert_eq!(few, many[..9]);
        }
    }

    #[test]
    fn drawn_unpaired_every_row_has_a_background_of_its_own() {
        let found = rows(&library(2, true), 1);
        assert_eq!(found[0], rows(&library(1, false), 1)[0]);
        assert!((1..6).all(|row| found[row][8] != found[0][8] || found[row][4..] != found[0][4..]));
    }

    #[test]
    fn designs_that_do_not_fit_are_refused() {
        let random = || Background::Random(Composition::uniform(4));
        let make = |length, backgrounds, pairs: &[u8]| {
            let made = Factorial::new(design(), random(), length, backgrounds, 5, false, pairs);
            made.map(|library| library.rows)
                .map_err(|refused| refused.0)
        };
        assert_eq!(make(9, 2, &PAIRS), Ok(6));
        assert!(make(7, 2, &PAIRS).unwrap_err().contains("5 symbols at 3"));
        assert!(make(9, 2, &[]).unwrap_err().contains("no complement"));
        assert!(make(9, 0, &PAIRS).unwrap_err().contains("needs points"));
        assert!(make(9, u64::MAX / 3, &PAIRS).unwrap_err().contains("2^63"));
        let given = Background::Given {
            rows: vec![0; 8],
            length: 8,
        };
        assert!(Factorial::new(design(), given, 9, 1, 5, false, &PAIRS).is_err());
    }
}
