//! Tokens to one-hot.

use crate::alphabet::Alphabet;
use crate::parallel::for_rows;

/// Where the base axis of a one-hot array stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// sequence, position, base
    Nlc,
    /// sequence, base, position
    Ncl,
}

/// Numbers of half precision, as their bits: Rust has no stable type for them.
pub type F16 = u16;

/// What one-hot arrays are made of.
pub trait Hot: Copy + Send + Sync + PartialEq + 'static {
    /// The counts 0, 1 and 2.
    const COUNTS: [Self; 3];
    /// One-hot of the tokens of four letters, and of the unknown one.
    const FOUR: [[Self; 4]; 5] = {
        let mut four = [[Self::COUNTS[0]; 4]; 5];
        let mut token = 0;
        while token < 4 {
            four[token][token] = Self::COUNTS[1];
            token += 1;
        }
        four
    };
}

impl Hot for u8 {
    const COUNTS: [u8; 3] = [0, 1, 2];
}

impl Hot for F16 {
    const COUNTS: [F16; 3] = [0, 0x3C00, 0x4000];
}

impl Hot for f32 {
    const COUNTS: [f32; 3] = [0.0, 1.0, 2.0];
}

/// One-hot of one row of `tokens` (at most the unknown one) into `out`, `columns` times as long.
#[inline]
pub fn one_hot_row<T: Hot>(alphabet: &Alphabet, tokens: &[u8], layout: Layout, out: &mut [T]) {
    match layout {
        Layout::Nlc => nlc(alphabet, tokens, out),
        Layout::Ncl => ncl(alphabet, tokens, out),
    }
}

#[inline]
fn nlc<T: Hot>(alphabet: &Alphabet, tokens: &[u8], out: &mut [T]) {
    if alphabet.four().is_some() {
        for (hot, &token) in out.chunks_exact_mut(4).zip(tokens) {
            hot.copy_from_slice(&T::FOUR[usize::from(token)]);
        }
        return;
    }
    for (hot, &token) in out.chunks_exact_mut(alphabet.columns()).zip(tokens) {
        for (value, &count) in hot.iter_mut().zip(alphabet.hot(token)) {
            *value = T::COUNTS[usize::from(count)];
        }
    }
}

fn ncl<T: Hot>(alphabet: &Alphabet, tokens: &[u8], out: &mut [T]) {
    for column in 0..alphabet.columns() {
        let row = &mut out[column * tokens.len()..][..tokens.len()];
        for (value, &token) in row.iter_mut().zip(tokens) {
            *value = T::COUNTS[usize::from(alphabet.hot(token)[column])];
        }
    }
}

/// One-hot of rows of `length` tokens (at most the unknown one, all zero) into `out`.
pub fn one_hot<T: Hot>(
    alphabet: &Alphabet,
    tokens: &[u8],
    length: usize,
    layout: Layout,
    out: &mut [T],
    threads: usize,
) {
    for_rows(out, length * alphabet.columns(), threads, |index, row| {
        one_hot_row(alphabet, &tokens[index * length..][..length], layout, row);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::N;
    use proptest::prelude::*;

    #[test]
    fn one_hot_of_each_layout() {
        let dna = Alphabet::dna();
        let mut nlc = [9u8; 12];
        one_hot(&dna, &[0, 3, N], 3, Layout::Nlc, &mut nlc, 1);
        assert_eq!(nlc, [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        let mut ncl = [9f32; 12];
        one_hot(&dna, &[0, 3, N], 3, Layout::Ncl, &mut ncl, 1);
        assert_eq!(ncl, [1., 0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 0.]);
    }

    proptest! {
        #[test]
        fn one_hot_does_not_depend_on_threads(
            rows in prop::collection::vec(prop::collection::vec(0u8..=N, 5), 1..20),
        ) {
            let (dna, tokens) = (Alphabet::dna(), rows.concat());
            let (mut one, mut many) = (vec![7u8; tokens.len() * 4], vec![8u8; tokens.len() * 4]);
            one_hot(&dna, &tokens, 5, Layout::Nlc, &mut one, 1);
            one_hot(&dna, &tokens, 5, Layout::Nlc, &mut many, 3);
            prop_assert_eq!(&one, &many);
            for (index, &token) in tokens.iter().enumerate() {
                let hot = &one[index * 4..][..4];
                prop_assert_eq!(hot.iter().sum::<u8>(), u8::from(token < N));
                prop_assert!(token == N || hot[token as usize] == 1);
            }
        }
    }
}
