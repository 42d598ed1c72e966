//! Random orders, several numbers of one random word.

use crate::rng::Rng;
use std::array;

/// Bring `items` into a uniformly random order (Fisher & Yates).
///
/// The first `settled` are in such an order already: one item, or equal ones.
#[inline]
pub fn permute<T>(items: &mut [T], settled: usize, rng: &mut Rng) {
    let mut from = settled.max(1);
    while from < items.len() {
        from = match items.len() {
            0..=128 => swap_in::<8, T>(items, from, rng),
            129..=512 => swap_in::<6, T>(items, from, rng),
            513..=8192 => swap_in::<4, T>(items, from, rng),
            _ => swap_in::<2, T>(items, from, rng),
        };
    }
}

/// Swap each of the next `N` items (fewer at the end) with one up to it; where to go on.
#[inline]
fn swap_in<const N: usize, T>(items: &mut [T], from: usize, rng: &mut Rng) -> usize {
    let places = below_each::<N>(from as u64 + 1, rng);
    let end = items.len().min(from + N);
    for (item, place) in (from..end).zip(places) {
        items.swap(item, place);
    }
    end
}

/// Numbers below `bound`, `bound` + 1, …, exactly uniform and independent.
///
/// Brackett-Rozinsky & Lemire 2024, "Batched ranged random integer generation". The bounds'
/// product must be below 2^64, and should be far below: near it, numbers are often drawn again.
#[inline]
fn below_each<const N: usize>(bound: u64, rng: &mut Rng) -> [usize; N] {
    let product = (0..N as u64).fold(1, |product: u64, i| product * (bound + i));
    loop {
        let mut word = rng.next_u64();
        let numbers = array::from_fn(|i| {
            let wide = u128::from(word) * u128::from(bound + i as u64);
            word = wide as u64;
            (wide >> 64) as usize
        });
        if word >= product || word >= product.wrapping_neg() % product {
            return numbers;
        }
    }
}
