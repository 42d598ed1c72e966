//! Shuffles that keep words of symbols of any length.

use super::draws::permute;
use super::tree::{self, Graph};
use crate::rng::Rng;

/// The words of a row as a graph: each leads to the next, one symbol on.
#[derive(Default)]
pub struct Words {
    names: Names,
    /// The words that follow, those that follow the same word side by side.
    edges: Vec<u32>,
    /// Where the followers of each word start, and where those of the last one end.
    starts: Vec<u32>,
    /// The edge to take next from each word; while the tree grows, the last one.
    next: Vec<u32>,
    in_tree: Vec<bool>,
}

impl Words {
    /// Shuffle `source`, longer than `k`, into `out`, which begins as it does; `k` is above 1.
    pub fn shuffle(
        &mut self,
        source: &[u8],
        k: usize,
        alphabet_size: usize,
        rng: &mut Rng,
        out: &mut [u8],
    ) {
        self.names.name(source, k - 1, alphabet_size);
        self.sort();
        self.lay(rng);
        let mut word = self.names.path[0] as usize;
        for symbol in &mut out[k - 1..] {
            let place = &mut self.next[word];
            word = self.edges[*place as usize] as usize;
            *place += 1;
            *symbol = source[self.names.first[word] as usize + k - 2];
        }
    }

    /// Sort the edges of the path by the word they leave, by counting.
    fn sort(&mut self) {
        let (path, words) = (&self.names.path, self.names.first.len());
        let edges = path.len() - 1;
        self.starts.clear();
        self.starts.resize(words + 1, 0);
        for &word in &path[..edges] {
            self.starts[word as usize + 1] += 1;
        }
        for word in 0..words {
            self.starts[word + 1] += self.starts[word];
        }
        self.next.clear();
        self.next.extend_from_slice(&self.starts[..words]);
        self.edges.resize(edges, 0);
        for pair in path.windows(2) {
            let place = &mut self.next[pair[0] as usize];
            self.edges[*place as usize] = pair[1];
            *place += 1;
        }
    }

    /// Bring the edges into a random order that leads through all of them.
    fn lay(&mut self, rng: &mut Rng) {
        let words = self.starts.len() - 1;
        let root = self.names.path[self.edges.len()] as usize;
        self.in_tree.clear();
        self.in_tree.resize(words, false);
        self.in_tree[root] = true;
        tree::grow(self, words, rng);
        for word in 0..words {
            let (start, mut end) = self.range(word);
            if word != root {
                end -= 1;
                self.edges.swap(self.next[word] as usize, end);
            }
            permute(&mut self.edges[start..end], 1, rng);
        }
        self.next.copy_from_slice(&self.starts[..words]);
    }

    #[inline]
    fn range(&self, word: usize) -> (usize, usize) {
        (self.starts[word] as usize, self.starts[word + 1] as usize)
    }
}

impl Graph for Words {
    #[inline]
    fn in_tree(&self, word: usize) -> bool {
        self.in_tree[word]
    }

    #[inline]
    fn choose(&mut self, word: usize, rng: &mut Rng) -> usize {
        let (start, end) = self.range(word);
        let mut edge = start as u32;
        if end - start > 1 {
            edge += rng.below((end - start) as u32);
        }
        self.next[word] = edge;
        self.edges[edge as usize] as usize
    }

    #[inline]
    fn join(&mut self, word: usize) -> usize {
        self.in_tree[word] = true;
        self.edges[self.next[word] as usize] as usize
    }
}

/// Numbers for the words of a row: equal words have the same one.
#[derive(Default)]
struct Names {
    /// The name of the word at every position.
    path: Vec<u32>,
    /// Where each name was first met.
    first: Vec<u32>,
    keys: Vec<u64>,
    /// Open addressing: names, `FREE` where there is none.
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

/// Of Fibonacci hashing: the highest bits of the product are well mixed.
const FIBONACCI: u64 = 0x9E37_79B9_7F4A_7C15;

/// Keys of so many bits are not hashed.
const DIRECT: u32 = 10;

impl Names {
    /// Name all `length`-symbol words of `source`.
    ///
    /// As many symbols as fit into a key at first, then longer words as pairs of shorter ones
    /// (Karp, Miller & Rosenberg 1972).
    fn name(&mut self, source: &[u8], length: usize, alphabet_size: usize) {
        let bits = usize::BITS - alphabet_size.leading_zeros();
        let mut known = length.min((u64::BITS / bits) as usize);
        self.spell(source, known, bits);
        self.rename(known as u32 * bits);
        while known < length {
            let step = known.min(length - known);
            self.keys.clear();
            let pairs = self.path.iter().zip(&self.path[step..]);
            self.keys
                .extend(pairs.map(|(&a, &b)| u64::from(a) << 32 | u64::from(b)));
            self.rename(u64::BITS);
            known += step;
        }
    }

    /// Keys of the words of `length` symbols: their symbols, `bits` each.
    fn spell(&mut self, source: &[u8], length: usize, bits: u32) {
        let mask = u64::MAX >> (u64::BITS - bits * length as u32);
        let mut key = 0;
        self.keys.clear();
        self.keys.extend(source.iter().map(|&token| {
            key = (key << bits | u64::from(token)) & mask;
            key
        }));
        self.keys.drain(..length - 1);
    }

    /// Name the keys, numbers of `bits` bits, in the order in which they come first.
    fn rename(&mut self, bits: u32) {
        let size_bits = (2 * self.keys.len()).next_power_of_two().ilog2();
        // A key is its own index if the table has a slot for each.
        let (factor, shift) = if bits <= size_bits.max(DIRECT) {
            (1, 0)
        } else {
            (FIBONACCI, u64::BITS - size_bits)
        };
        let size = 1 << bits.min(size_bits.max(DIRECT));
        self.table.clear();
        self.table.resize(size, FREE);
        self.first.clear();
        self.path.clear();
        for (position, &key) in self.keys.iter().enumerate() {
            let mut slot = (key.wrapping_mul(factor) >> shift) as usize;
            while self.table[slot] != FREE
                && self.keys[self.first[self.table[slot] as usize] as usize] != key
            {
                slot = (slot + 1) & (size - 1);
            }
            if self.table[slot] == FREE {
                self.table[slot] = self.first.len() as u32;
                self.first.push(position as u32);
            }
            self.path.push(self.table[slot]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_of_any_length_have_one_name_each() {
        let source: Vec<u8> = (0..200).map(|i| [0, 3, 1, 4][i / 3 % 4]).collect();
        for length in [1, 2, 20, 21, 22, 23, 43, 44, 100, 200] {
            let mut names = Names::default();
            names.name(&source, length, 4);
            let words: Vec<&[u8]> = source.windows(length).collect();
            assert_eq!(names.path.len(), words.len());
            assert_eq!(
                names.first.len(),
                words.iter().collect::<BTreeSet<_>>().len()
            );
            for (word, &name) in words.iter().zip(&names.path) {
                assert_eq!(*word, words[names.first[name as usize] as usize]);
            }
        }
    }
}
