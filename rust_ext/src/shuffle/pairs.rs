//! Shuffles that keep pairs of letters, for alphabets that are not large.

use super::draws::permute;
use super::tree::{self, Graph};
use crate::rng::Rng;
use std::{array, iter};

/// Letters there can be, with the unknown one; the tree is the bits of one word.
const MOST: usize = 8;

/// How often each letter follows each: a graph whose vertices are letters.
#[derive(Default)]
pub struct Pairs {
    counts: [[u32; MOST]; MOST],
    degrees: [u32; MOST],
    /// The letter that follows the last time, of those in the tree.
    exits: [u8; MOST],
    tree: u8,
}

/// What follows each letter, in the order in which it will.
#[derive(Default)]
pub struct Trail {
    first: u8,
    /// The letters that follow, those that follow the same letter side by side.
    edges: Vec<u8>,
    /// Where the next follower of each letter is.
    next: [u32; MOST],
}

impl Pairs {
    pub fn fit(alphabet_size: usize) -> bool {
        alphabet_size < MOST
    }

    /// Order the pairs of `path`, not empty, at random.
    pub fn lay(&mut self, path: &[u8], alphabet_size: usize, rng: &mut Rng, trail: &mut Trail) {
        let (size, root) = (alphabet_size + 1, path[path.len() - 1]);
        self.count(path, size);
        self.tree |= 1 << root;
        tree::grow(self, size, rng);
        trail.first = path[0];
        trail.edges.clear();
        for letter in 0..size {
            trail.next[letter] = trail.edges.len() as u32;
            if self.degrees[letter] > 0 {
                let exit = (letter != usize::from(root)).then_some(self.exits[letter]);
                self.lay_letter(letter, size, exit, rng, &mut trail.edges);
            }
        }
    }

    /// Count the pairs of `path`; letters that nothing follows need no way to the root.
    fn count(&mut self, path: &[u8], size: usize) {
        let counts = &mut self.counts[..size];
        counts.iter_mut().for_each(|row| row[..size].fill(0));
        for pair in path.windows(2) {
            counts[usize::from(pair[0])][usize::from(pair[1])] += 1;
        }
        self.tree = 0;
        for (letter, row) in counts.iter().enumerate() {
            self.degrees[letter] = row[..size].iter().sum();
            self.tree |= u8::from(self.degrees[letter] == 0) << letter;
        }
    }

    /// Lay the followers of `letter`, `exit` last.
    fn lay_letter(
        &mut self,
        letter: usize,
        size: usize,
        exit: Option<u8>,
        rng: &mut Rng,
        edges: &mut Vec<u8>,
    ) {
        let counts = &mut self.counts[letter][..size];
        if let Some(exit) = exit {
            counts[usize::from(exit)] -= 1;
        }
        // The most frequent follower first: its edges are equal, so in a random order already.
        let most = (0..size).max_by_key(|&letter| counts[letter]).unwrap_or(0);
        let start = edges.len();
        for follower in iter::once(most).chain((0..size).filter(|&other| other != most)) {
            edges.resize(edges.len() + counts[follower] as usize, follower as u8);
        }
        permute(&mut edges[start..], counts[most] as usize, rng);
        edges.extend(exit);
    }
}

impl Graph for Pairs {
    #[inline]
    fn in_tree(&self, letter: usize) -> bool {
        self.tree >> letter & 1 == 1
    }

    #[inline]
    fn choose(&mut self, letter: usize, rng: &mut Rng) -> usize {
        let mut edge = rng.below(self.degrees[letter]);
        let mut follower = 0;
        while edge >= self.counts[letter][follower] {
            edge -= self.counts[letter][follower];
            follower += 1;
        }
        self.exits[letter] = follower as u8;
        follower
    }

    #[inline]
    fn join(&mut self, letter: usize) -> usize {
        self.tree |= 1 << letter;
        usize::from(self.exits[letter])
    }
}

/// Write the rows, equally long, that the trails lead through.
pub fn walk<const N: usize>(trails: [&mut Trail; N], mut rows: [&mut [u8]; N]) {
    let edges: [&[u8]; N] = array::from_fn(|lane| &trails[lane].edges[..]);
    let mut next = array::from_fn::<_, N, _>(|lane| trails[lane].next);
    let mut letters = array::from_fn::<_, N, _>(|lane| trails[lane].first);
    let length = rows[0].len();
    for (row, letter) in rows.iter_mut().zip(letters) {
        row[0] = letter;
    }
    for position in 1..length {
        for (lane, row) in rows.iter_mut().enumerate() {
            let place = &mut next[lane][usize::from(letters[lane]) % MOST];
            letters[lane] = edges[lane][*place as usize];
            row[position] = letters[lane];
            *place += 1;
        }
    }
}
