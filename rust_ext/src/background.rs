//! What motifs and elements are put into: random, shuffled or given sequences.

use crate::parallel::for_rows_with;
use crate::rng::{Domain, Rng};
use crate::shuffle::{shuffle_row, ShuffleScratch};

/// How probable each letter of an alphabet is, in units of 2^-32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition {
    /// Letter i is drawn by the numbers from `ends[i - 1]` (or 0) up to below `ends[i]`.
    ends: Vec<u64>,
    /// Bits that choose a letter, where all are equally probable and as many as a power of two.
    bits: Option<u32>,
}

impl Composition {
    /// Equal probabilities of `size` (1…256) letters.
    pub fn uniform(size: usize) -> Self {
        Self::shares(&vec![1.0; size], size as f64)
    }

    /// Probabilities that are as `weights`, rounded to multiples of 2^-32; none for a weight of 0.
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
            .all(|(letter, &end)| end == (letter as u64 + 1) << (32 - bits));
        Composition {
            bits: even.then_some(bits),
            ends,
        }
    }

    /// Draw rows of `length` tokens (above 0) from `first_row` on, each by its own index alone.
    pub fn rows(&self, seed: u64, first_row: u64, length: usize, out: &mut [u8], threads: usize) {
        let rng = || Rng::new(seed, Domain::Background);
        for_rows_with(out, length, threads, rng, |rng, index, row| {
            rng.start(first_row.wrapping_add(index as u64), 0);
            self.fill(rng, row);
        });
    }

    /// Draw every token of `out` by itself.
    pub fn fill(&self, rng: &mut Rng, out: &mut [u8]) {
        match self.bits {
            Some(bits) => fill_evenly(bits, rng, out),
            None => out.iter_mut().for_each(|token| {
                let number = u64::from(rng.next_u32());
                *token = self.ends.iter().map(|&end| u8::from(number >= end)).sum();
            }),
        }
    }
}

/// Tokens of `bits` random bits each, as many of one number as it has.
fn fill_evenly(bits: u32, rng: &mut Rng, out: &mut [u8]) {
    let mask = (1u32 << bits) - 1;
    for tokens in out.chunks_mut((u32::BITS / bits.max(1)) as usize) {
        let mut number = rng.next_u32();
        for token in tokens {
            *token = (number & mask) as u8;
            number >>= bits;
        }
    }
}

/// Where the sequences around an element come from.
#[derive(Clone, Debug)]
pub enum Background {
    /// Letters drawn one by one.
    Random(Composition),
    /// Rows of `length` tokens, shuffled so that the number of each k-mer stays.
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
    /// Background `row` of the library of `seed`, a function of these two alone.
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
    fn letters_are_as_frequent_as_their_weights() {
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
            for (letter, weight) in weights.iter().enumerate() {
                let seen = tokens.iter().filter(|&&t| usize::from(t) == letter).count() as f64;
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
