//! Letters to tokens and back, the other strand, one-hot.

use crate::parallel::for_rows;

/// Token of N and of every other ambiguity letter.
pub const N: u8 = 4;
const LETTERS: [u8; 5] = *b"ACGTN";
const BASES: usize = 4;

/// In `TOKEN`: a line end, which carries no base.
const SKIP: u8 = 254;
/// In `TOKEN`: not a letter of a nucleotide sequence.
const BAD: u8 = 255;
const TOKEN: [u8; 256] = token_table();

const fn token_table() -> [u8; 256] {
    let mut table = [BAD; 256];
    let ambiguous = b"NRYSWKMBDHV";
    let mut i = 0;
    while i < ambiguous.len() {
        table[ambiguous[i] as usize] = N;
        table[ambiguous[i].to_ascii_lowercase() as usize] = N;
        i += 1;
    }
    i = 0;
    while i < BASES {
        table[LETTERS[i] as usize] = i as u8;
        table[LETTERS[i].to_ascii_lowercase() as usize] = i as u8;
        i += 1;
    }
    table[b'\n' as usize] = SKIP;
    table[b'\r' as usize] = SKIP;
    table
}

/// Is `byte` a nucleotide letter (IUPAC, either case, no U and no gap)?
pub fn is_nucleotide(byte: u8) -> bool {
    TOKEN[byte as usize] <= N
}

/// A byte that stands where it must not: 1-based row and column in the text.
#[derive(Debug, PartialEq, Eq)]
pub struct BadByte {
    pub row: usize,
    pub column: usize,
    pub byte: u8,
}

impl BadByte {
    fn at(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset];
        let row = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        BadByte {
            row,
            column: offset - line + 1,
            byte: text[offset],
        }
    }
}

/// Tokens of sequence text; line ends are passed over.
pub fn tokens(text: &[u8]) -> Result<Vec<u8>, BadByte> {
    let mut out = Vec::with_capacity(text.len());
    for (offset, &byte) in text.iter().enumerate() {
        match TOKEN[byte as usize] {
            BAD => return Err(BadByte::at(text, offset)),
            SKIP => {}
            token => out.push(token),
        }
    }
    Ok(out)
}

/// Where the first value above N stands, if any does.
pub fn first_not_token(tokens: &[u8]) -> Option<usize> {
    tokens.iter().position(|&token| token > N)
}

/// Upper-case letters of `tokens`, all of which must be at most N.
pub fn decode(tokens: &[u8]) -> Vec<u8> {
    tokens
        .iter()
        .map(|&token| LETTERS[token as usize])
        .collect()
}

/// Token of the base that pairs with `token`; N stays N.
pub fn complement(token: u8) -> u8 {
    if token < N {
        3 - token
    } else {
        token
    }
}

/// Turn every `width`-long row of `tokens` to the other strand, in place.
pub fn reverse_complement(tokens: &mut [u8], width: usize, threads: usize) {
    for_rows(tokens, width, threads, |_, row| {
        row.reverse();
        row.iter_mut().for_each(|token| *token = complement(*token));
    });
}

/// Where the base axis of a one-hot array stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// sequence, position, base
    Nlc,
    /// sequence, base, position
    Ncl,
}

/// One-hot of rows of `length` tokens (at most N; N is all zero) into `out`, 4 times as long.
pub fn one_hot<T>(tokens: &[u8], length: usize, layout: Layout, out: &mut [T], threads: usize)
where
    T: Copy + Default + From<u8> + Send + Sync,
{
    let one = T::from(1);
    for_rows(out, length * BASES, threads, |index, row| {
        row.fill(T::default());
        for (position, &token) in tokens[index * length..][..length].iter().enumerate() {
            if token < N {
                let base = token as usize;
                row[match layout {
                    Layout::Nlc => position * BASES + base,
                    Layout::Ncl => base * length + position,
                }] = one;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_of_either_case_and_ambiguity_codes() {
        assert_eq!(tokens(b"ACGTacgt").unwrap(), [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(tokens(b"NRYSWKMBDHVnryswkmbdhv").unwrap(), [N; 22]);
        assert_eq!(tokens(b"AC\r\nGT\n").unwrap(), [0, 1, 2, 3]);
        assert_eq!(tokens(b"").unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn a_bad_byte_is_named_by_row_and_column() {
        for (text, row, column, byte) in [
            ("ACGU", 1, 4, b'U'),
            ("AC\nG*T", 2, 2, b'*'),
            ("A\r\n\n5", 3, 1, b'5'),
        ] {
            assert_eq!(tokens(text.as_bytes()), Err(BadByte { row, column, byte }));
        }
    }

    #[test]
    fn one_hot_of_each_layout() {
        let mut nlc = [9u8; 12];
        one_hot(&[0, 3, N], 3, Layout::Nlc, &mut nlc, 1);
        assert_eq!(nlc, [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        let mut ncl = [9f32; 12];
        one_hot(&[0, 3, N], 3, Layout::Ncl, &mut ncl, 1);
        assert_eq!(ncl, [1., 0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 0.]);
    }

    proptest! {
        #[test]
        fn decode_undoes_tokens(text in "[ACGTN]{0,200}") {
            prop_assert_eq!(decode(&tokens(text.as_bytes()).unwrap()), text.as_bytes());
        }

        #[test]
        fn only_nucleotide_letters_and_line_ends_pass(text in prop::collection::vec(any::<u8>(), 0..50)) {
            let fine = text.iter().all(|&byte| is_nucleotide(byte) || b"\r\n".contains(&byte));
            prop_assert_eq!(tokens(&text).is_ok(), fine);
        }

        #[test]
        fn the_other_strand_twice_is_the_same(
            row in prop::collection::vec(0u8..=N, 1..100), threads in 1usize..4,
        ) {
            let mut turned = row.clone();
            reverse_complement(&mut turned, row.len(), threads);
            for (index, &token) in row.iter().enumerate() {
                prop_assert_eq!(turned[row.len() - 1 - index], complement(token));
            }
            reverse_complement(&mut turned, row.len(), threads);
            prop_assert_eq!(turned, row);
        }

        #[test]
        fn one_hot_does_not_depend_on_threads(
            rows in prop::collection::vec(prop::collection::vec(0u8..=N, 5), 1..20),
        ) {
            let tokens = rows.concat();
            let (mut one, mut many) = (vec![7u8; tokens.len() * 4], vec![8u8; tokens.len() * 4]);
            one_hot(&tokens, 5, Layout::Nlc, &mut one, 1);
            one_hot(&tokens, 5, Layout::Nlc, &mut many, 3);
            prop_assert_eq!(&one, &many);
            for (index, &token) in tokens.iter().enumerate() {
                let hot = &one[index * 4..][..4];
                prop_assert_eq!(hot.iter().sum::<u8>(), u8::from(token < N));
                prop_assert!(token == N || hot[token as usize] == 1);
            }
        }
    }
}
