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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Domain;

    /// How often item `from` lands in each eighth of `length` places.
    fn landings(from: usize, length: usize, draws: usize, rng: &mut Rng) -> [f64; 8] {
        let mut seen = [0.0; 8];
        for _ in 0..draws {
            let mut items: Vec<usize> = (0..length).collect();
            permute(&mut items, 1, rng);
            let place = items.iter().position(|&item| item == from).unwrap();
            seen[8 * place / length] += 1.0;
        }
        seen
    }

    #[test]
    fn every_item_lands_everywhere_whatever_the_length() {
        let mut rng = Rng::new(1, Domain::Shuffle);
        rng.start(0, 0);
        for (length, draws) in [
            (8, 8000),
            (128, 8000),
            (136, 8000),
            (520, 4000),
            (8200, 800),
        ] {
            for from in [0, 1, length / 2, length - 1] {
                let expected = draws as f64 / 8.0;
                let seen = landings(from, length, draws, &mut rng);
                let chi: f64 = seen.iter().map(|n| (n - expected).powi(2) / expected).sum();
                // 7 degrees of freedom: above 29.9 with probability 1e-4.
                assert!(chi < 29.9, "{from} of {length}: {seen:?}");
            }
        }
    }

    #[test]
    fn settled_items_are_only_moved_by_the_others() {
        let mut rng = Rng::new(1, Domain::Shuffle);
        let mut items = [1, 2, 3, 4];
        permute(&mut items, 4, &mut rng);
        assert_eq!(items, [1, 2, 3, 4]);
    }
}
