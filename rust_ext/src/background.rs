//! Backgrounds for motifs and elements: random, shuffled or given sequences.

use crate::parallel::for_rows_with;
use crate::rng::{Domain, Rng};
use crate::shuffle::{shuffle_row, ShuffleScratch};

/// How probable each symbol of an alphabet is, in units of 2^-32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition {
    /// Symbol i is drawn by the numbers from `ends[i - 1]` (or 0) up to below `ends[i]`.
    ends: Vec<u64>,
    /// Bits that choose a symbol, where all are equally probable and as many as a power of two.
    bits: Option<u32>,
}

impl Composition {
    /// Equal probabilities of `size` (1…256) symbols.
    pub fn uniform(size: usize) -> Self {
        Self::shares(&vec![1.0; size], size as f64)
    }

    /// Probabilities proportional to `weights`, rounded to multiples of 2^-32; none for a weight of 0.
    ///
    /// None if there are no weights or over 256, one is negative or not a number, or their sum is
    /// 0 or not finite.
    pub fn weighted(weights: &[f64]) -> Option<Self> {
        let total: f64 = weights.iter().sum();
        let fine = weights.iter().all(|&weight| weight >= 0.0);
        if !fine || !total.is_finite() || total <= 0.0 || weights.len() > 256 {
            return None;
        }
        Some(Self::shares(weights, total))
    }

    /// `weights` as shares of their sum `total`.
    fn shares(weights: &[f64], total: f64) -> Self {
        let mut sum = 0.0;
        let end = |&weight: &f64| {
            sum += weight;
            (sum / total * (1u64 << 32) as f64).round() as u64
        };
        let ends: Vec<u64> = weights.iter().map(end).collect();
        let bits = ends.len().ilog2();
        let even = ends
            .iter()
            .enumerate()
            .all(|(symbol, &end)| end == (symbol as u64 + 1) << (32 - bits));
        Composition {
            bits: even.then_some(bits),
            ends,
        }
    }

    /// Draw rows of `length` tokens (above 0) from `first_row` on, each a function of its index only.
    pub fn rows(&self, seed: u64, first_row: u64, length: usize, out: &mut [u8], threads: usize) {
        let rng = || Rng::new(seed, Domain::Background);
        for_rows_with(out, length, threads, rng, |rng, index, row| {
            rng.start(first_row.wrapping_add(index as u64), 0);
            self.fill(rng, row);
        });
    }

    /// Draw every token of `out` independently.
    pub fn fill(&self, rng: &mut Rng, out: &mut [u8]) {
        // A local copy of the generator stays in registers.
        let mut local = *rng;
        match self.bits {
            Some(bits) => fill_evenly(bits, &mut local, out),
            None => self.fill_weighted(&mut local, out),
        }
        *rng = local;
    }

    #[inline(always)]
    fn fill_weighted(&self, rng: &mut Rng, out: &mut [u8]) {
        let passed =
            |number: u64, ends: &[u64]| ends.iter().map(|&end| u8::from(number >= end)).sum();
        match self.ends[..] {
            // As many comparisons as the compiler can see are made at once.
            [a, b, c, _] => draw_each(rng, out, |number| passed(number, &[a, b, c])),
            _ => draw_each(rng, out, |number| passed(number, &self.ends)),
        }
    }
}

/// Make every token from a number of 32 random bits.
#[inline(always)]
fn draw_each(rng: &mut Rng, out: &mut [u8], token_of: impl Fn(u64) -> u8) {
    for token in out {
        *token = token_of(u64::from(rng.next_u32()));
    }
}

/// Tokens of `bits` random bits each, as many of one number as it has.
#[inline(always)]
fn fill_evenly(bits: u32, rng: &mut Rng, out: &mut [u8]) {
    let mask = (1u32 << bits) - 1;
    for tokens in out.chunks_mut((u32::BITS / bits.max(1)) as usize) {
        let mut number = rng.next_u32();
        if let (2, Ok(tokens)) = (bits, <&mut [u8; 16]>::try_from(&mut *tokens)) {
            *tokens = sixteen(number);
            continue;
        }
        for token in tokens {
            *token = (number & mask) as u8;
            number >>= bits;
        }
    }
}

/// Every two bits of `number` as a byte, the lowest first.
#[inline]
fn sixteen(number: u32) -> [u8; 16] {
    let spread = |half: u32| {
        let bytes = u64::from(half);
        let bytes = (bytes | bytes << 24) & 0x0000_00ff_0000_00ff;
        let bytes = (bytes | bytes << 12) & 0x000f_000f_000f_000f;
        (bytes | bytes << 6) & 0x0303_0303_0303_0303
    };
    let both = u128::from(spread(number & 0xffff)) | u128::from(spread(number >> 16)) << 64;
    both.to_le_bytes()
}

/// Where the sequences around an element come from.
#[derive(Clone, Debug)]
pub enum Background {
    /// Symbols drawn independently.
    Random(Composition),
    /// Rows of `length` tokens, shuffled such that all k-mer counts are kept.
    Shuffled {
        sources: Vec<u8>,
        length: usize,
        k: usize,
        alphabet_size: usize,
    },
    /// Rows of `length` tokens as they are.
    Given { rows: Vec<u8>, length: usize },
}

impl Background {
    /// Length of every background; None if any length can be drawn.
    pub fn length(&self) -> Option<usize> {
        match self {
            Background::Random(_) => None,
            Background::Shuffled { length, .. } | Background::Given { length, .. } => Some(*length),
        }
    }

    /// Background `row` of the library of `seed`, a function of these two only.
    ///
    /// Rows that run out are taken from the first again. `out` must be as long as they are.
    pub fn fill(&self, seed: u64, row: u64, scratch: &mut ShuffleScratch, out: &mut [u8]) {
        match self {
            Background::Random(composition) => {
                let mut rng = Rng::new(seed, Domain::Background);
                rng.start(row, 0);
                composition.fill(&mut rng, out);
            }
            Background::Shuffled {
                sources,
                length,
                k,
                alphabet_size,
            } => {
                let mut rng = Rng::new(seed, Domain::Shuffle);
                rng.start(row, 0);
                let source = around(sources, *length, row);
                shuffle_row(source, *k, *alphabet_size, &mut rng, scratch, out);
            }
            Background::Given { rows, length } => out.copy_from_slice(around(rows, *length, row)),
        }
    }
}

/// The background that a thread drew last: rows that follow each other can share it.
#[derive(Default)]
pub struct Drawn {
    row: Option<u64>,
    tokens: Vec<u8>,
    shuffle: ShuffleScratch,
}

impl Drawn {
    /// Background `row` of one library, `length` symbols of it.
    pub fn get(&mut self, background: &Background, seed: u64, row: u64, length: usize) -> &[u8] {
        if self.row != Some(row) {
            self.tokens.resize(length, 0);
            background.fill(seed, row, &mut self.shuffle, &mut self.tokens);
            self.row = Some(row);
        }
        &self.tokens
    }
}

/// Row `row` of `rows`, which begin again after the last.
fn around(rows: &[u8], length: usize, row: u64) -> &[u8] {
    let index = (row % (rows.len() / length) as u64) as usize;
    &rows[index * length..][..length]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shuffle::Shuffle;

    fn drawn(composition: &Composition, length: usize) -> Vec<u8> {
        let mut out = vec![0xff; length];
        let background = Background::Random(composition.clone());
        background.fill(1, 0, &mut ShuffleScratch::default(), &mut out);
        out
    }

    #[test]
    fn symbols_are_as_frequent_as_their_weights() {
        // Chi square with 4 degrees of freedom: above 23.5 with probability 1e-4.
        for weights in [
            vec![1.0; 4],
            vec![1.0; 5],
            vec![0.1, 0.4, 0.2, 0.3],
            vec![0.0, 3.0, 0.0, 1e-3, 0.0],
        ] {
            let composition = Composition::weighted(&weights).unwrap();
            let total: f64 = weights.iter().sum();
            let tokens = drawn(&composition, 100_000);
            let mut chi = 0.0;
            for (symbol, weight) in weights.iter().enumerate() {
                let seen = tokens.iter().filter(|&&t| usize::from(t) == symbol).count() as f64;
                let expected = 1e5 * weight / total;
                assert!(expected > 0.0 || seen == 0.0);
                chi += (seen - expected).powi(2) / expected.max(1e-9);
            }
            assert!(chi < 23.5, "{weights:?}: {chi}");
            assert!(tokens.iter().all(|&t| usize::from(t) < weights.len()));
        }
    }

    #[test]
    fn a_row_depends_on_its_index_alone() {
        let composition = Composition::uniform(5);
        let mut whole = vec![0; 50];
        composition.rows(3, u64::MAX, 10, &mut whole, 3);
        for (row, wanted) in [u64::MAX, 0, 1, 2, 3].into_iter().zip(whole.chunks(10)) {
            let mut out = [0; 10];
            let background = Background::Random(composition.clone());
            background.fill(3, row, &mut ShuffleScratch::default(), &mut out);
            assert_eq!(out, wanted);
        }
    }

    #[test]
    fn equal_weights_are_the_uniform_composition() {
        for size in [1, 2, 4, 5, 20, 64, 256] {
            let uniform = Composition::uniform(size);
            assert_eq!(
                Composition::weighted(&vec![0.5; size]),
                Some(uniform.clone())
            );
            let tokens = drawn(&uniform, 10_000);
            assert_eq!(usize::from(*tokens.iter().max().unwrap()), size - 1);
        }
    }

    #[test]
    fn sixteen_symbols_at_once_are_those_of_one_by_one() {
        for number in [0, u32::MAX, 0x1b1b_1b1b, 0x89ab_cdef, 0x0102_0408] {
            let wanted: Vec<u8> = (0..16).map(|at| (number >> (2 * at) & 3) as u8).collect();
            assert_eq!(sixteen(number)[..], wanted);
        }
    }

    #[test]
    fn weights_that_are_no_distribution_are_refused() {
        for weights in [
            &[][..],
            &[0.0, 0.0],
            &[1.0, -0.5],
            &[1.0, f64::NAN],
            &[1.0, f64::INFINITY],
            &[f64::MAX, f64::MAX],
            &[1.0; 257],
        ] {
            assert_eq!(Composition::weighted(weights), None, "{weights:?}");
        }
    }

    #[test]
    fn given_and_shuffled_rows_begin_again_after_the_last() {
        let (rows, length) = (vec![0, 1, 2, 0, 1, 3, 3, 2, 1, 3, 2, 3], 6);
        let given = Background::Given {
            rows: rows.clone(),
            length,
        };
        let shuffled = Background::Shuffled {
            sources: rows.clone(),
            length,
            k: 2,
            alphabet_size: 4,
        };
        let plan = Shuffle {
            k: 2,
            alphabet_size: 4,
            seed: 9,
            first_row: 0,
            copies: 1,
        };
        let mut wanted = vec![0; 24];
        plan.rows(&rows.repeat(2), length, &mut wanted, 1);
        let mut out = vec![0; length];
        let scratch = &mut ShuffleScratch::default();
        for row in [3, 0, 2, 1] {
            given.fill(9, row as u64, scratch, &mut out);
            assert_eq!(out, rows[row % 2 * length..][..length]);
            shuffled.fill(9, row as u64, scratch, &mut out);
            assert_eq!(out, wanted[row * length..][..length]);
        }
    }
}
