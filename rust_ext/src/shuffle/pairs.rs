//! Shuffles that keep pairs of symbols, for alphabets that are not large.

use super::draws::permute;
use super::tree::{self, Graph};
use crate::rng::Rng;
use std::{array, iter};

/// Symbols there can be, with the unknown one; the tree is the bits of one word.
const MOST: usize = 8;

/// How often each symbol follows each: a graph whose vertices are symbols.
#[derive(Default)]
pub struct Pairs {
    counts: [[u32; MOST]; MOST],
    degrees: [u32; MOST],
    /// The symbol that follows the last time, of those in the tree.
    exits: [u8; MOST],
    tree: u8,
}

/// What follows each symbol, in the order in which it will.
#[derive(Default)]
pub struct Trail {
    first: u8,
    /// The symbols that follow, those that follow the same symbol side by side.
    edges: Vec<u8>,
    /// Where the next follower of each symbol is.
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
        for symbol in 0..size {
            trail.next[symbol] = trail.edges.len() as u32;
            if self.degrees[symbol] > 0 {
                let exit = (symbol != usize::from(root)).then_some(self.exits[symbol]);
                self.lay_symbol(symbol, size, exit, rng, &mut trail.edges);
            }
        }
    }

    /// Count the pairs of `path`; symbols that nothing follows need no way to the root.
    fn count(&mut self, path: &[u8], size: usize) {
        let counts = &mut self.counts[..size];
        counts.iter_mut().for_each(|row| row[..size].fill(0));
        for pair in path.windows(2) {
            counts[usize::from(pair[0])][usize::from(pair[1])] += 1;
        }
        self.tree = 0;
        for (symbol, row) in counts.iter().enumerate() {
            self.degrees[symbol] = row[..size].iter().sum();
            self.tree |= u8::from(self.degrees[symbol] == 0) << symbol;
        }
    }

    /// Lay the followers of `symbol`, `exit` last.
    fn lay_symbol(
        &mut self,
        symbol: usize,
        size: usize,
        exit: Option<u8>,
        rng: &mut Rng,
        edges: &mut Vec<u8>,
    ) {
        let counts = &mut self.counts[symbol][..size];
        if let Some(exit) = exit {
            counts[usize::from(exit)] -= 1;
        }
        // The most frequent follower first: its edges are equal, so in a random order already.
        let most = (0..size).max_by_key(|&symbol| counts[symbol]).unwrap_or(0);
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
    fn in_tree(&self, symbol: usize) -> bool {
        self.tree >> symbol & 1 == 1
    }

    #[inline]
    fn choose(&mut self, symbol: usize, rng: &mut Rng) -> usize {
        let mut edge = rng.below(self.degrees[symbol]);
        let mut follower = 0;
        while edge >= self.counts[symbol][follower] {
            edge -= self.counts[symbol][follower];
            follower += 1;
        }
        self.exits[symbol] = follower as u8;
        follower
    }

    #[inline]
    fn join(&mut self, symbol: usize) -> usize {
        self.tree |= 1 << symbol;
        usize::from(self.exits[symbol])
    }
}

/// Write the rows, equally long, that the trails lead through.
pub fn walk<const N: usize>(trails: [&mut Trail; N], mut rows: [&mut [u8]; N]) {
    let edges: [&[u8]; N] = array::from_fn(|lane| &trails[lane].edges[..]);
    let mut next = array::from_fn::<_, N, _>(|lane| trails[lane].next);
    let mut symbols = array::from_fn::<_, N, _>(|lane| trails[lane].first);
    let length = rows[0].len();
    for (row, symbol) in rows.iter_mut().zip(symbols) {
        row[0] = symbol;
    }
    for position in 1..length {
        for (lane, row) in rows.iter_mut().enumerate() {
            let place = &mut next[lane][usize::from(symbols[lane]) % MOST];
            symbols[lane] = edges[lane][*place as usize];
            row[position] = symbols[lane];
            *place += 1;
        }
    }
}
