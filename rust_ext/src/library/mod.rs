//! Mutagenesis libraries: every row is a function of the recipe and of the row's number.
//!
//! So any part of a library can be made by any thread at any time, as tokens, as one-hot, or, where
//! a library is a wild type with substitutions, as the substitutions alone.

pub mod combinations;
pub mod counts;
pub mod factorial;
pub mod global;
pub mod pairs;
pub mod random;
pub mod saturation;

use crate::alphabet::Alphabet;
use crate::background::Drawn;
use crate::encode::{self, Hot, Layout};
use crate::parallel::{for_rows_with, map_shares};
use std::fmt;
use std::ops::Range;

/// Why a library cannot be made from a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(message.into()))
}

/// Draws between two checks whether to continue, and the message for interrupted work.
const STRETCH: usize = 1 << 14;
const STOPPED: &str = "stopped";

/// Symbols that are converted to one-hot at a time: their tokens stay in the cache of a core.
const TOGETHER: usize = 1 << 17;

/// Buffers that a thread reuses; results do not depend on them.
#[derive(Default)]
pub struct Scratch {
    tokens: Vec<u8>,
    taken: Taken,
    combination: combinations::Cursor,
    drawn: Drawn,
}

/// Memory of a set of small numbers that can be cleared in constant time.
#[derive(Default)]
struct Taken {
    /// The set at whose time a number was put in last.
    times: Vec<u32>,
    now: u32,
}

/// A set of small numbers.
struct Set<'a> {
    times: &'a mut [u32],
    now: u32,
}

impl Taken {
    /// An empty set of numbers below `size`.
    #[inline(always)]
    fn begin(&mut self, size: usize) -> Set<'_> {
        if self.times.len() < size || self.now == u32::MAX {
            self.times.clear();
            self.times.resize(size, 0);
            self.now = 0;
        }
        self.now += 1;
        Set {
            times: &mut self.times,
            now: self.now,
        }
    }
}

impl Set<'_> {
    /// Put `number` in, or `instead` where it is in already; returns the one put in.
    #[inline(always)]
    fn insert_or(&mut self, number: u32, instead: u32) -> u32 {
        let known = self.times[number as usize] == self.now;
        let number = if known { instead } else { number };
        self.times[number as usize] = self.now;
        number
    }
}

/// A library of any type. Rows must be below `rows`; `out` has space for `length` tokens.
pub trait Rows: Sync {
    fn rows(&self) -> u64;
    fn length(&self) -> usize;
    fn fill(&self, row: u64, scratch: &mut Scratch, out: &mut [u8]);

    /// One-hot of the rows from `first` on, as many as fit into `out`.
    fn one_hot<T: Hot>(
        &self,
        alphabet: &Alphabet,
        layout: Layout,
        first: u64,
        out: &mut [T],
        threads: usize,
    ) {
        let (length, width) = (self.length(), self.length() * alphabet.columns());
        let together = (TOGETHER / length).max(1);
        for_rows_with(
            out,
            together * width,
            threads,
            Scratch::default,
            |scratch, index, hot| {
                let mut tokens = std::mem::take(&mut scratch.tokens);
                tokens.resize(hot.len() / alphabet.columns(), 0);
                let rows = first + (index * together) as u64..;
                for (row, tokens) in rows.zip(tokens.chunks_mut(length)) {
                    self.fill(row, scratch, tokens);
                }
                encode::one_hot_rows(alphabet, &tokens, length, layout, hot);
                scratch.tokens = tokens;
            },
        );
    }
}

/// A library of one wild type and substitutions in it.
pub trait Substitutions: Sync {
    fn rows(&self) -> u64;
    fn wild_type(&self) -> &[u8];
    /// Call `put(position, symbol)` for every substitution of `row`, each position once.
    fn mutate(&self, row: u64, scratch: &mut Scratch, put: &mut impl FnMut(u32, u8));
}

impl<S: Substitutions> Rows for S {
    fn rows(&self) -> u64 {
        Substitutions::rows(self)
    }

    fn length(&self) -> usize {
        self.wild_type().len()
    }

    #[inline]
    fn fill(&self, row: u64, scratch: &mut Scratch, out: &mut [u8]) {
        out.copy_from_slice(self.wild_type());
        self.mutate(row, scratch, &mut |position, symbol| {
            out[position as usize] = symbol;
        });
    }
}

/// Tokens of the rows from `first` on, as many as fit into `out`.
pub fn tokens<L: Rows>(library: &L, first: u64, out: &mut [u8], threads: usize) {
    for_rows_with(
        out,
        library.length(),
        threads,
        Scratch::default,
        |scratch, index, row| {
            library.fill(first + index as u64, scratch, row);
        },
    );
}

/// The substitutions of some rows, by row and position.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mutations {
    pub row: Vec<i64>,
    pub position: Vec<i32>,
    pub symbol: Vec<u8>,
}

/// The substitutions of `rows`.
pub fn mutations<S: Substitutions>(library: &S, rows: Range<u64>, threads: usize) -> Mutations {
    let parts = map_shares(rows, threads, |rows| mutations_of(library, rows));
    parts.into_iter().reduce(joined).unwrap_or_default()
}

fn mutations_of<S: Substitutions>(library: &S, rows: Range<u64>) -> Mutations {
    let (mut scratch, mut found) = (Scratch::default(), Mutations::default());
    // A bit for every position, and the symbols at those that are set: to give them in order.
    let mut changed = vec![0u64; library.wild_type().len().div_ceil(64)];
    let mut symbols = vec![0u8; library.wild_type().len()];
    for row in rows {
        library.mutate(row, &mut scratch, &mut |position, symbol| {
            changed[position as usize / 64] |= 1 << (position % 64);
            symbols[position as usize] = symbol;
        });
        for (word, bits) in changed.iter_mut().enumerate() {
            while *bits != 0 {
                let position = word * 64 + bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                found.row.push(row as i64);
                found.position.push(position as i32);
                found.symbol.push(symbols[position]);
            }
        }
    }
    found
}

fn joined(mut first: Mutations, second: Mutations) -> Mutations {
    first.row.extend(second.row);
    first.position.extend(second.position);
    first.symbol.extend(second.symbol);
    first
}

/// A position that may change, and the symbol there.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub position: u32,
    pub wild: u8,
}

impl Site {
    /// The `choice`-th other symbol, in the order of the alphabet.
    #[inline(always)]
    pub fn other(self, choice: u32) -> u8 {
        let choice = choice as u8;
        choice + u8::from(choice >= self.wild)
    }
}

/// A wild type, and the sites in it that may change, by position; none is an unknown symbol.
#[derive(Clone, Debug)]
pub struct Target {
    pub wild: Vec<u8>,
    pub sites: Vec<Site>,
    /// Symbols of the alphabet.
    pub size: u8,
}

impl Target {
    pub fn new(wild: Vec<u8>, positions: &[u32], alphabet: &Alphabet) -> Result<Self, Refused> {
        let size = alphabet.size() as u8;
        if size < 2 {
            return refuse("the alphabet must have at least 2 symbols");
        }
        if positions.is_empty() {
            return refuse("there must be at least one position to mutate");
        }
        if !positions.windows(2).all(|pair| pair[0] < pair[1]) {
            return refuse("positions must be ascending and unique");
        }
        if positions.len() as u64 * u64::from(size) >= 1 << 32 {
            return refuse("there are too many positions to mutate");
        }
        let site = |&position: &u32| match wild.get(position as usize) {
            None => refuse(format!("position {position} is outside of the sequence")),
            Some(&wild) if wild >= size => {
                refuse(format!("position {position} has the unknown symbol"))
            }
            Some(&wild) => Ok(Site { position, wild }),
        };
        let sites = positions.iter().map(site).collect::<Result<_, _>>()?;
        Ok(Target { wild, sites, size })
    }

    /// Symbols that a site can change to.
    #[inline]
    pub fn others(&self) -> u32 {
        u32::from(self.size) - 1
    }
}
