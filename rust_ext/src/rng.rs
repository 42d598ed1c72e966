//! Random numbers of a row: a function of seed, domain, row and attempt, and of nothing else.
//!
//! A counter-based generator, Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy
//! as 1, 2, 3"), with key (seed, domain) and counter (0, row, attempt, 0) gives 256 bits; they are
//! the state from which xoshiro256++ (Blackman and Vigna 2021, "Scrambled linear pseudorandom
//! number generators") draws the row's numbers, faster. So any row of any library can be made by any
//! thread at any time, with the same result.

const MULTIPLIERS: [u64; 2] = [0xD2E7_470E_E14C_6C93, 0xCA5A_8263_9512_1157];
const WEYL: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xBB67_AE85_84CA_A73B];
const ROUNDS: usize = 10;

/// The purpose of random numbers: different purposes must not share them under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Domain {
    Mutations = 1,
    Sample = 2,
    Background = 3,
    Shuffle = 4,
    Design = 5,
}

/// The four words of one counter.
pub fn philox(mut counter: [u64; 4], mut key: [u64; 2]) -> [u64; 4] {
    for _ in 0..ROUNDS {
        counter = round(counter, key);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[inline(always)]
fn round([a, b, c, d]: [u64; 4], key: [u64; 2]) -> [u64; 4] {
    let wide = |multiplier: u64, word: u64| {
        let product = u128::from(multiplier) * u128::from(word);
        ((product >> 64) as u64, product as u64)
    };
    let (high_a, low_a) = wide(MULTIPLIERS[0], a);
    let (high_c, low_c) = wide(MULTIPLIERS[1], c);
    [high_c ^ b ^ key[0], low_c, high_a ^ d ^ key[1], low_a]
}

/// The random numbers of one row after another.
#[derive(Clone, Copy)]
pub struct Rng {
    key: [u64; 2],
    state: [u64; 4],
    /// The high half of a word whose low half was given.
    half: Option<u32>,
}

impl Rng {
    /// Call `start` before the first number.
    pub fn new(seed: u64, domain: Domain) -> Self {
        Rng {
            key: [seed, domain as u64],
            state: [0; 4],
            half: None,
        }
    }

    /// Go to the first number of `row`; each `attempt` at a row has different numbers.
    #[inline]
    pub fn start(&mut self, row: u64, attempt: u64) {
        self.state = philox([0, row, attempt, 0], self.key);
        self.half = None;
    }

    #[inline(always)]
    pub fn next_u64(&mut self) -> u64 {
        let state = &mut self.state;
        let word = state[0]
            .wrapping_add(state[3])
            .rotate_left(23)
            .wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        word
    }

    /// Half of a word: first the low one, then the high one.
    #[inline(always)]
    pub fn next_u32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let word = self.next_u64();
        self.half = Some((word >> 32) as u32);
        word as u32
    }

    /// A number below `bound` (above 0), exactly uniform.
    ///
    /// Lemire 2019, "Fast random integer generation in an interval".
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// A number below `first` and one below `second`, whose product must fit; exactly uniform.
    ///
    /// Brackett-Rozinsky and Lemire 2024, "Batched ranged random integer generation".
    #[inline(always)]
    pub fn below_both(&mut self, first: u32, second: u32) -> (u32, u32) {
        let product = first * second;
        loop {
            let one = u64::from(self.next_u32()) * u64::from(first);
            let two = u64::from(one as u32) * u64::from(second);
            let rest = two as u32;
            if rest >= product || rest >= product.wrapping_neg() % product {
                return ((one >> 32) as u32, (two >> 32) as u32);
            }
        }
    }

    /// `below_both` twice, of (first, second) and (first + 1, second), at a point where no half of
    /// a word is left. None, without taking any number, if one would have to be drawn again.
    #[inline(always)]
    pub fn below_both_twice(&mut self, first: u32, second: u32) -> Option<[(u32, u32); 2]> {
        let mut ahead = *self;
        let word = ahead.next_u64();
        let pair = |half: u32, first: u32| {
            let one = u64::from(half) * u64::from(first);
            let two = u64::from(one as u32) * u64::from(second);
            (((one >> 32) as u32, (two >> 32) as u32), two as u32)
        };
        let (low, rest) = pair(word as u32, first);
        let (high, other) = pair((word >> 32) as u32, first + 1);
        if rest.min(other) < (first + 1) * second {
            return None;
        }
        *self = ahead;
        Some([low, high])
    }

    /// A number below `bound` (above 0), exactly uniform.
    pub fn below_u64(&mut self, bound: u64) -> u64 {
        let wide = |word: u64| u128::from(word) * u128::from(bound);
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = wide(self.next_u64());
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two at a time are the same two, or none, and then nothing is taken.
    #[test]
    fn pairs_come_two_at_a_time_as_they_come_one_by_one() {
        let (mut given, mut refused) = (0, 0);
        for (first, second) in [
            (1, 1),
            (247, 3),
            (1 << 20, 3),
            (1 << 25, 63),
            ((1 << 26) - 2, 63),
        ] {
            for row in 0..2000 {
                let mut rng = Rng::new(5, Domain::Mutations);
                rng.start(row, 0);
                let mut alone = rng;
                let before = rng.next_u64();
                let mut rng = alone;
                match rng.below_both_twice(first, second) {
                    Some(both) => {
                        let wanted =
                            [first, first + 1].map(|first| alone.below_both(first, second));
                        assert_eq!(both, wanted);
                        assert_eq!(rng.next_u64(), alone.next_u64());
                        given += 1;
                    }
                    None => {
                        assert_eq!(rng.next_u64(), before);
                        refused += 1;
                    }
                }
            }
        }
        assert!(given > 5000 && refused > 500, "{given} {refused}");
    }

    /// The known answers that the authors ship with Random123.
    #[test]
    fn philox_gives_the_published_numbers() {
        let pi = [
            0x243f_6a88_85a3_08d3,
            0x1319_8a2e_0370_7344,
            0xa409_3822_299f_31d0,
            0x082e_fa98_ec4e_6c89,
        ];
        for (counter, key, wanted) in [
            (
                [0; 4],
                [0; 2],
                [
                    0x16554d9eca36314c,
                    0xdb20fe9d672d0fdc,
                    0xd7e772cee186176b,
                    0x7e68b68aec7ba23b,
                ],
            ),
            (
                [u64::MAX; 4],
                [u64::MAX; 2],
                [
                    0x87b092c3013fe90b,
                    0x438c3c67be8d0224,
                    0x9cc7d7c69cd777b6,
                    0xa09caebf594f0ba0,
                ],
            ),
            (
                pi,
                [0x452821e638d01377, 0xbe5466cf34e90c6c],
                [
                    0xa528f45403e61d95,
                    0x38c72dbd566e9788,
                    0xa5a1610e72fd18b5,
                    0x57bd43b5e52b7fe6,
                ],
            ),
        ] {
            assert_eq!(philox(counter, key), wanted);
        }
    }

    /// From the authors' reference implementation, started at 1, 2, 3, 4.
    #[test]
    fn xoshiro_gives_the_published_numbers() {
        let mut rng = Rng::new(0, Domain::Design);
        rng.state = [1, 2, 3, 4];
        let found: Vec<u64> = (0..6).map(|_| rng.next_u64()).collect();
        let wanted = [
            41943041,
            58720359,
            3588806011781223,
            3591011842654386,
            9228616714210784205,
            9973669472204895162,
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_row_begins_where_its_counter_says() {
        let mut rng = Rng::new(7, Domain::Sample);
        rng.start(3, 1);
        assert_eq!(rng.state, philox([0, 3, 1, 0], [7, Domain::Sample as u64]));
        let (low, high) = (rng.next_u32(), rng.next_u32());
        rng.start(3, 1);
        assert_eq!(rng.next_u64(), u64::from(low) | u64::from(high) << 32);
    }

    #[test]
    fn pairs_of_bounded_numbers_are_uniform() {
        // With bounds this large a third of the words must be drawn again.
        let (first, second, mut rng) = (3 << 14, 1 << 16, Rng::new(3, Domain::Design));
        rng.start(0, 0);
        let mut counts = [0u32; 12];
        for _ in 0..60_000 {
            let (one, two) = rng.below_both(first, second);
            counts[(one / (first / 3)) as usize * 4 + (two >> 14) as usize] += 1;
        }
        // Chi square with 11 degrees of freedom: above 31.3 with probability 0.001.
        let chi: f64 = counts
            .iter()
            .map(|&n| (f64::from(n) - 5e3).powi(2) / 5e3)
            .sum();
        assert!(chi < 31.3, "{counts:?}");
    }

    #[test]
    fn bounded_numbers_are_uniform() {
        let mut rng = Rng::new(1, Domain::Design);
        rng.start(0, 0);
        let (mut small, mut large) = ([0u32; 6], [0u32; 6]);
        for _ in 0..60_000 {
            small[rng.below(6) as usize] += 1;
            large[rng.below_u64(6) as usize] += 1;
        }
        // Chi square with 5 degrees of freedom: above 20.5 with probability 0.001.
        for counts in [small, large] {
            let chi: f64 = counts
                .iter()
                .map(|&n| (f64::from(n) - 1e4).powi(2) / 1e4)
                .sum();
            assert!(chi < 20.5, "{counts:?}");
        }
    }

    #[test]
    fn a_bound_that_divides_badly_is_uniform_too() {
        // Without rejection a third of the numbers would be twice as frequent.
        let (bound, mut rng) = (3 << 30, Rng::new(2, Domain::Design));
        rng.start(0, 0);
        let low = (0..30_000).filter(|_| rng.below(bound) < 1 << 30).count() as f64;
        assert!(
            (low - 1e4).abs() < 4.0 * (3e4f64 * 2.0 / 9.0).sqrt(),
            "{low}"
        );
    }
}
