//! One-hot back to tokens.

use super::{Hot, Layout};
use crate::alphabet::{Alphabet, BAD};
use crate::parallel::map_parts;

/// Tokens of rows of `length` (above 0) symbols in one-hot.
///
/// Returns the place (row × length + position) of the first position that encodes no symbol.
pub fn from_one_hot<T: Hot>(
    alphabet: &Alphabet,
    hot: &[T],
    length: usize,
    layout: Layout,
    out: &mut [u8],
    threads: usize,
) -> Result<(), usize> {
    let width = length * alphabet.columns();
    let of_four = four_counts(alphabet);
    let parts = map_parts(out, length, threads, |first, part| {
        for (row, tokens) in (first..).zip(part.chunks_exact_mut(length)) {
            let hot = &hot[row * width..][..width];
            match &of_four {
                Some(of_four) => by_counts(of_four, hot, layout, tokens),
                None => by_column(alphabet, hot, layout, tokens),
            }
            if let Some(position) = tokens.iter().position(|&token| token == BAD) {
                return Err(row * length + position);
            }
        }
        Ok(())
    });
    parts.into_iter().collect()
}

/// The token of every four counts, 2 bits each; None for another number of columns.
fn four_counts(alphabet: &Alphabet) -> Option<[u8; 256]> {
    let mut tokens = [BAD; 256];
    for token in 0..=alphabet.unknown() {
        let hot: &[u8; 4] = alphabet.hot(token).try_into().ok()?;
        tokens[usize::from(side_by_side(hot))] = token;
    }
    Some(tokens)
}

#[inline(always)]
fn side_by_side<T: Hot>(hot: &[T; 4]) -> u8 {
    let [a, b, c, d] = hot.map(T::count);
    a | b << 2 | c << 4 | d << 6
}

fn by_counts<T: Hot>(of_four: &[u8; 256], hot: &[T], layout: Layout, tokens: &mut [u8]) {
    tokens.fill(0);
    match layout {
        Layout::Nlc => {
            for (token, hot) in tokens.iter_mut().zip(hot.chunks_exact(4)) {
                *token = side_by_side(&[hot[0], hot[1], hot[2], hot[3]]);
            }
        }
        Layout::Ncl => {
            for (base, values) in hot.chunks_exact(tokens.len()).enumerate() {
                for (token, value) in tokens.iter_mut().zip(values) {
                    *token |= value.count() << (2 * base);
                }
            }
        }
    }
    for token in tokens {
        *token = of_four[usize::from(*token)];
    }
}

fn by_column<T: Hot>(alphabet: &Alphabet, hot: &[T], layout: Layout, tokens: &mut [u8]) {
    let columns = alphabet.columns();
    let (symbol, column) = match layout {
        Layout::Nlc => (columns, 1),
        Layout::Ncl => (1, tokens.len()),
    };
    for (position, token) in tokens.iter_mut().enumerate() {
        let hot = hot[position * symbol..]
            .iter()
            .step_by(column)
            .take(columns);
        *token = only_one(alphabet.unknown(), hot);
    }
}

/// The token of the one column that is 1, the unknown one if all are 0.
fn only_one<'a, T: Hot>(unknown: u8, hot: impl Iterator<Item = &'a T>) -> u8 {
    let (mut total, mut place) = (0, 0);
    for (column, value) in hot.enumerate() {
        let count = usize::from(value.count());
        total += count;
        place += column * count;
    }
    match total {
        0 => unknown,
        1 => place as u8,
        _ => BAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_symbol_is_placed() {
        let (dna, diploid) = (Alphabet::dna(), Alphabet::diploid());
        let mut out = [9; 2];
        for wrong in [[0u8, 1, 1, 0], [0, 2, 0, 0], [0, 0, 0, 9]] {
            let hot = [[0, 1, 0, 0], wrong].concat();
            let found = from_one_hot(&dna, &hot, 1, Layout::Nlc, &mut out, 2);
            assert_eq!(found, Err(1));
        }
        for wrong in [[0.0f32, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], [0.5; 4]] {
            let found = from_one_hot(&diploid, &wrong, 1, Layout::Ncl, &mut out[..1], 1);
            assert_eq!(found, Err(0));
        }
    }
}
