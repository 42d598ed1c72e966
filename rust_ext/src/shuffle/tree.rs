//! Random trees.

use crate::rng::Rng;

/// A directed graph in which a tree grows from a root, against the direction of the edges.
pub trait Graph {
    fn in_tree(&self, vertex: usize) -> bool;

    /// Choose a random edge of `vertex` again; returns where it leads.
    fn choose(&mut self, vertex: usize, rng: &mut Rng) -> usize;

    /// Take `vertex` and the edge chosen last into the tree; returns where it leads.
    fn join(&mut self, vertex: usize) -> usize;
}

/// Let the tree grow to all `vertices`, every tree with the probability of its edges.
///
/// Wilson 1996, "Generating random spanning trees more quickly than the cover time": random walks
/// to the tree join it without their loops.
#[inline]
pub fn grow(graph: &mut impl Graph, vertices: usize, rng: &mut Rng) {
    for leaf in 0..vertices {
        let mut vertex = leaf;
        while !graph.in_tree(vertex) {
            vertex = graph.choose(vertex, rng);
        }
        vertex = leaf;
        while !graph.in_tree(vertex) {
            vertex = graph.join(vertex);
        }
    }
}
