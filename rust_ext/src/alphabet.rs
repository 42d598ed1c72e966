//! Alphabets: letters, their tokens, and what a letter is in one-hot.
//!
//! The letters of an alphabet are tokens 0…size-1, in its order; the token after them is the
//! unknown letter, whose one-hot is all zero.

/// The letters of a kind of sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alphabet {
    letters: Vec<u8>,
    unknown: u8,
    /// One-hot of every token, the unknown one last: `columns` counts each.
    hot: Vec<u8>,
    columns: usize,
}

impl Alphabet {
    /// Letters each of which is a column of its own.
    fn plain(letters: &[u8], unknown: u8) -> Self {
        let columns = letters.len();
        let mut hot = vec![0; (columns + 1) * columns];
        (0..columns).for_each(|token| hot[token * columns + token] = 1);
        Alphabet {
            letters: letters.to_vec(),
            unknown,
            hot,
            columns,
        }
    }

    pub fn dna() -> Self {
        Self::plain(b"ACGT", b'N')
    }

    pub fn rna() -> Self {
        Self::plain(b"ACGU", b'N')
    }

    pub fn protein() -> Self {
        Self::plain(b"ACDEFGHIKLMNPQRSTVWY", b'X')
    }

    /// Letters without the unknown one.
    pub fn size(&self) -> usize {
        self.letters.len()
    }

    /// Token of the unknown letter.
    pub fn unknown(&self) -> u8 {
        self.letters.len() as u8
    }

    /// Length of the base axis of one-hot.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The columns of `token` (at most `unknown`): counts, for most alphabets one 1.
    #[inline]
    pub fn hot(&self, token: u8) -> &[u8] {
        &self.hot[usize::from(token) * self.columns..][..self.columns]
    }

    /// Upper-case letter of `token`.
    pub fn letter(&self, token: u8) -> u8 {
        *self
            .letters
            .get(usize::from(token))
            .unwrap_or(&self.unknown)
    }
}
