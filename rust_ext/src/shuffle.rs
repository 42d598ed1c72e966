//! Shuffles of a row that keep how often it has every k-mer.
//!
//! A row is a path through its (k-1)-mers, every k-mer of it an edge; another path over the same
//! edges is another row with the same k-mers, and the same first and last (k-1)-mer (Altschul &
//! Erickson 1985). All such rows are equally probable: the edges by which the vertices are left
//! for the last time are a uniform tree towards the last vertex, drawn by Wilson's loop-erased
//! walks, and the other edges of a vertex are taken in any order (Kandel et al. 1996; Jiang et al.
//! 2008, uShuffle). The unknown token is a letter like the others.

use crate::parallel::for_rows_with;
use crate::rng::{Domain, Rng};

/// Buffers of `shuffle_row`, kept from row to row.
#[derive(Default)]
pub struct ShuffleScratch {
    letters: Graph<u8>,
    words: Graph<u32>,
    names: Names,
}

/// Shuffle `source` into `out`, as long, so that its k-mers (`k` above 0) stay as frequent.
///
/// The tokens must be at most `alphabet_size`, the unknown one, which is at most 64. `rng` must be
/// at the start of its row. A row that is no longer than `k` has no other order and is copied.
pub fn shuffle_row(
    source: &[u8],
    k: usize,
    alphabet_size: usize,
    rng: &mut Rng,
    scratch: &mut ShuffleScratch,
    out: &mut [u8],
) {
    out.copy_from_slice(source);
    if source.len() <= k {
        return;
    }
    match k {
        1 => permute(out, rng),
        2 => {
            let graph = &mut scratch.letters;
            graph.prepare(source, alphabet_size + 1, rng);
            graph.walk(source[0], &mut out[1..], |vertex| vertex);
        }
        _ => {
            let ShuffleScratch { words, names, .. } = scratch;
            names.name(source, k - 1, alphabet_size);
            words.prepare(&names.path, names.first.len(), rng);
            let last = |vertex: u32| source[names.first[vertex as usize] as usize + k - 2];
            words.walk(names.path[0], &mut out[k - 1..], last);
        }
    }
}

/// How rows are shuffled: `copies` (above 0) times each, their k-mers kept.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    pub k: usize,
    pub alphabet_size: usize,
    pub seed: u64,
    pub first_row: u64,
    pub copies: usize,
}

impl Shuffle {
    /// Shuffle the rows of `tokens`, of `length` letters (above 0), into `out`.
    ///
    /// The copies of a row stand side by side. Copy c of row i has the random numbers of (`seed`,
    /// `first_row` + i, c): it depends neither on other rows nor on the number of copies.
    pub fn rows(self, tokens: &[u8], length: usize, out: &mut [u8], threads: usize) {
        let scratch = || {
            (
                Rng::new(self.seed, Domain::Shuffle),
                ShuffleScratch::default(),
            )
        };
        for_rows_with(
            out,
            length,
            threads,
            scratch,
            |(rng, scratch), index, out| {
                let (row, copy) = (index / self.copies, index % self.copies);
                let source = &tokens[row * length..][..length];
                rng.start(self.first_row.wrapping_add(row as u64), copy as u64);
                shuffle_row(source, self.k, self.alphabet_size, rng, scratch, out);
            },
        );
    }
}

/// Bring `items` into a uniformly random order (Fisher & Yates).
fn permute<T>(items: &mut [T], rng: &mut Rng) {
    for end in (1..items.len()).rev() {
        items.swap(end, rng.below(end as u32 + 1) as usize);
    }
}

trait Vertex: Copy + Default {
    fn index(self) -> usize;
}

impl Vertex for u8 {
    #[inline]
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Vertex for u32 {
    #[inline]
    fn index(self) -> usize {
        self as usize
    }
}

/// The edges of a path, those of one vertex side by side, as the vertices they lead to.
#[derive(Default)]
struct Graph<V> {
    edges: Vec<V>,
    /// Where the edges of each vertex start, and where those of the last one end.
    starts: Vec<u32>,
    /// The edge to take next from each vertex; while the tree grows, its last one.
    next: Vec<u32>,
    in_tree: Vec<bool>,
}

impl<V: Vertex> Graph<V> {
    /// The edges of `path`, at least one, in a random order that leads through all of them.
    fn prepare(&mut self, path: &[V], vertices: usize, rng: &mut Rng) {
        self.sort(path, vertices);
        let root = path[path.len() - 1];
        self.grow_tree(root, rng);
        for vertex in 0..vertices {
            let (start, end) = self.range(vertex);
            if start == end {
                continue;
            }
            let mut free = end;
            if vertex != root.index() {
                free -= 1;
                self.edges.swap(self.next[vertex] as usize, free);
            }
            permute(&mut self.edges[start..free], rng);
        }
        self.next.copy_from_slice(&self.starts[..vertices]);
    }

    fn range(&self, vertex: usize) -> (usize, usize) {
        (
            self.starts[vertex] as usize,
            self.starts[vertex + 1] as usize,
        )
    }

    /// Sort the edges of `path` by the vertex they leave, by counting.
    fn sort(&mut self, path: &[V], vertices: usize) {
        let edges = path.len() - 1;
        self.starts.clear();
        self.starts.resize(vertices + 1, 0);
        for vertex in &path[..edges] {
            self.starts[vertex.index() + 1] += 1;
        }
        for vertex in 0..vertices {
            self.starts[vertex + 1] += self.starts[vertex];
        }
        self.next.clear();
        self.next.extend_from_slice(&self.starts[..vertices]);
        self.edges.resize(edges, V::default());
        for pair in path.windows(2) {
            let place = &mut self.next[pair[0].index()];
            self.edges[*place as usize] = pair[1];
            *place += 1;
        }
    }

    /// Choose in `next` the last edge of every vertex but `root` (Wilson 1996).
    fn grow_tree(&mut self, root: V, rng: &mut Rng) {
        let vertices = self.starts.len() - 1;
        self.in_tree.clear();
        self.in_tree.resize(vertices, false);
        self.in_tree[root.index()] = true;
        for leaf in 0..vertices {
            let (start, end) = self.range(leaf);
            if start == end {
                continue;
            }
            let mut vertex = leaf;
            while !self.in_tree[vertex] {
                vertex = self.step(vertex, rng);
            }
            vertex = leaf;
            while !self.in_tree[vertex] {
                self.in_tree[vertex] = true;
                vertex = self.edges[self.next[vertex] as usize].index();
            }
        }
    }

    /// Leave `vertex` by a random edge, remembered in `next`.
    #[inline]
    fn step(&mut self, vertex: usize, rng: &mut Rng) -> usize {
        let (start, end) = self.range(vertex);
        let edge = start as u32 + rng.below((end - start) as u32);
        self.next[vertex] = edge;
        self.edges[edge as usize].index()
    }

    /// Take all edges from `vertex` on, in their order, and note the letters of what is reached.
    fn walk(&mut self, mut vertex: V, out: &mut [u8], letter: impl Fn(V) -> u8) {
        for place in out {
            let next = &mut self.next[vertex.index()];
            vertex = self.edges[*next as usize];
            *next += 1;
            *place = letter(vertex);
        }
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

impl Names {
    /// Name all `length`-letter words of `source`.
    ///
    /// As many letters as fit into a key at first, then longer words as pairs of shorter ones
    /// (Karp, Miller & Rosenberg 1972).
    fn name(&mut self, source: &[u8], length: usize, alphabet_size: usize) {
        let bits = usize::BITS - alphabet_size.leading_zeros();
        let mut known = length.min((u64::BITS / bits) as usize);
        self.spell(source, known, bits);
        self.rename();
        while known < length {
            let step = known.min(length - known);
            self.keys.clear();
            let pairs = self.path.iter().zip(&self.path[step..]);
            self.keys
                .extend(pairs.map(|(&a, &b)| u64::from(a) << 32 | u64::from(b)));
            self.rename();
            known += step;
        }
    }

    /// Keys of the words of `length` letters: their letters, `bits` each.
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

    /// Name the keys in the order in which they come first.
    fn rename(&mut self) {
        let size = (2 * self.keys.len()).next_power_of_two();
        self.table.clear();
        self.table.resize(size, FREE);
        self.first.clear();
        self.path.clear();
        for (position, &key) in self.keys.iter().enumerate() {
            // Fibonacci hashing: the highest bits are the well mixed ones.
            let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - size.ilog2());
            let mut slot = hash as usize;
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
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn plan(k: usize, alphabet_size: usize) -> Shuffle {
        Shuffle {
            k,
            alphabet_size,
            seed: 1,
            first_row: 0,
            copies: 1,
        }
    }

    fn shuffled(plan: Shuffle, tokens: &[u8], length: usize, threads: usize) -> Vec<u8> {
        let mut out = vec![0xff; tokens.len() * plan.copies];
        plan.rows(tokens, length, &mut out, threads);
        out
    }

    fn kmers(row: &[u8], k: usize) -> BTreeMap<&[u8], usize> {
        let mut counts = BTreeMap::new();
        row.windows(k)
            .for_each(|kmer| *counts.entry(kmer).or_default() += 1);
        counts
    }

    fn ends(row: &[u8], k: usize) -> (&[u8], &[u8]) {
        (&row[..k - 1], &row[row.len() + 1 - k..])
    }

    /// All orders of the letters of `row` with its k-mers and ends, found by trying every order.
    fn enumerate(row: &[u8], k: usize) -> BTreeSet<Vec<u8>> {
        let mut orders = BTreeSet::from([vec![]]);
        for _ in row {
            let longer = |order: &Vec<u8>| {
                let mut left = row.to_vec();
                for letter in order {
                    let used = left.iter().position(|other| other == letter);
                    left.remove(used.unwrap());
                }
                let order = order.clone();
                left.into_iter()
                    .map(move |letter| [&order[..], &[letter]].concat())
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        let same = |o: &Vec<u8>| kmers(o, k) == kmers(row, k) && ends(o, k) == ends(row, k);
        orders.into_iter().filter(same).collect()
    }

    /// Above this a chi square has a probability of 1e-4 (Wilson & Hilferty 1931).
    fn chi_square_limit(degrees: f64) -> f64 {
        let part = 2.0 / (9.0 * degrees);
        degrees * (1.0 - part + 3.719 * part.sqrt()).powi(3)
    }

    #[test]
    fn every_order_is_equally_probable() {
        for (row, k, orders) in [
            (&[0, 1, 2, 3, 3][..], 1, 60),
            (&[0, 0, 1, 1, 0, 0, 2, 0, 1], 2, 24),
            (&[0, 1, 2, 0, 2, 1, 0, 1], 2, 10),
            (&[0, 1, 2, 3, 0, 1, 3, 2, 0, 1], 2, 6),
            (&[0, 4, 1, 4, 4, 2, 1, 4, 0], 2, 6),
            (&[0, 1, 0, 0, 1, 1, 0, 1, 0, 1], 3, 9),
            (&[0, 0, 1, 0, 0, 0, 4, 0, 1, 0], 3, 4),
        ] {
            let all = enumerate(row, k);
            assert_eq!(all.len(), orders, "{row:?}");
            let draws = 20_000;
            let mut seen = BTreeMap::new();
            let rows = shuffled(plan(k, 4), &row.repeat(draws), row.len(), 1);
            for order in rows.chunks(row.len()) {
                assert!(all.contains(order), "{order:?}");
                *seen.entry(order).or_insert(0.0) += 1.0;
            }
            let expected = draws as f64 / orders as f64;
            let counts = all
                .iter()
                .map(|order| *seen.get(&order[..]).unwrap_or(&0.0));
            let chi: f64 = counts.map(|n| (n - expected).powi(2) / expected).sum();
            assert!(
                chi < chi_square_limit(orders as f64 - 1.0),
                "{row:?}: {chi}"
            );
        }
    }

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

    fn case() -> impl Strategy<Value = (Vec<u8>, usize, usize)> {
        (1usize..=64, 1usize..120).prop_flat_map(|(size, length)| {
            let letters = prop_oneof![Just(size as u8), 0..=size as u8, 0..=1u8];
            let few = prop::collection::vec(letters, length);
            (few, Just(size), 1usize..30)
        })
    }

    proptest! {
        #[test]
        fn kmers_letters_and_ends_are_kept((row, size, k) in case()) {
            let out = shuffled(plan(k, size), &row, row.len(), 1);
            prop_assert_eq!(kmers(&out, 1), kmers(&row, 1));
            if k < row.len() {
                prop_assert_eq!(kmers(&out, k), kmers(&row, k));
                prop_assert_eq!(ends(&out, k), ends(&row, k));
            } else {
                prop_assert_eq!(out, row);
            }
        }

        #[test]
        fn a_row_depends_on_its_index_alone(
            rows in prop::collection::vec(prop::collection::vec(0u8..=4, 20), 1..12),
            (k, copies, threads) in (1usize..5, 1usize..4, 2usize..5),
            first_row in any::<u64>(),
        ) {
            let all = Shuffle { first_row, copies, ..plan(k, 4) };
            let whole = shuffled(all, &rows.concat(), 20, 1);
            prop_assert_eq!(&shuffled(all, &rows.concat(), 20, threads), &whole);
            for (index, row) in rows.iter().enumerate() {
                let alone = Shuffle { first_row: first_row.wrapping_add(index as u64), ..all };
                prop_assert_eq!(&shuffled(alone, row, 20, 1)[..], &whole[index * 20 * copies..][..20 * copies]);
                let once = Shuffle { copies: 1, ..alone };
                prop_assert_eq!(&shuffled(once, row, 20, 1)[..], &whole[index * 20 * copies..][..20]);
            }
        }
    }
}
