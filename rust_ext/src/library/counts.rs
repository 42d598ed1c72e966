//! How many mutations a row has: any distribution, as a table.

use super::{refuse, Refused};

/// A distribution over 0…max, drawn from with one 64-bit word.
///
/// Only sums, products and quotients go into the table, so it is the same on every platform.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Count k is drawn by words below `ends[k]` that no smaller count takes.
    ends: Vec<u64>,
    /// The smallest count that a word with this first byte can give.
    guide: Vec<u32>,
}

impl Counts {
    /// Counts 0… with these weights.
    pub fn table(weights: &[f64]) -> Result<Self, Refused> {
        if let Some(at) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
            return refuse(format!("the weight of {at} mutations is {}", weights[at]));
        }
        let total: f64 = weights.iter().sum();
        let Some(last) = weights.iter().rposition(|&weight| weight > 0.0) else {
            return refuse("the weights of the mutation counts are all 0");
        };
        if !total.is_finite() {
            return refuse("the weights of the mutation counts are too large");
        }
        let mut sum = 0.0;
        let mut ends: Vec<u64> = weights[..=last]
            .iter()
            .map(|weight| {
                sum += weight;
                (sum / total * 2f64.powi(64)) as u64
            })
            .collect();
        ends[last] = u64::MAX;
        let guide = (0..256u64)
            .map(|byte| ends[..last].partition_point(|&end| end <= byte << 56) as u32)
            .collect();
        Ok(Counts { ends, guide })
    }

    /// Always `count`.
    pub fn fixed(count: usize) -> Self {
        let mut ends = vec![0; count + 1];
        ends[count] = u64::MAX;
        Counts {
            ends,
            guide: vec![count as u32; 256],
        }
    }

    /// Poisson with this mean; values above `max` count as `max`. `mean` is at most `max`.
    pub fn poisson(mean: f64, max: usize) -> Result<Self, Refused> {
        let mut weights = around_mode(mean as usize, max, |k| mean / (k + 1) as f64);
        let (mut k, mut weight) = (max, weights[max]);
        while weight > weights[max] * 1e-18 {
            weight *= mean / (k + 1) as f64;
            weights[max] += weight;
            k += 1;
        }
        Self::table(&weights)
    }

    /// Binomial: `trials` positions, each mutated with `probability`.
    pub fn binomial(trials: usize, probability: f64) -> Result<Self, Refused> {
        if probability >= 1.0 {
            return Ok(Self::fixed(trials));
        }
        let odds = probability / (1.0 - probability);
        let mode = ((trials + 1) as f64 * probability) as usize;
        let rise = |k: usize| (trials - k) as f64 / (k + 1) as f64 * odds;
        Self::table(&around_mode(mode.min(trials), trials, rise))
    }

    /// The largest count.
    pub fn max(&self) -> usize {
        self.ends.len() - 1
    }

    #[inline]
    pub fn draw(&self, word: u64) -> usize {
        let mut count = self.guide[(word >> 56) as usize] as usize;
        while count < self.max() && word >= self.ends[count] {
            count += 1;
        }
        count
    }
}

/// Weights of 0…max whose ratio weight(k + 1) / weight(k) is `rise(k)`; that of `mode` is 1.
fn around_mode(mode: usize, max: usize, rise: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut weights = vec![0.0; max + 1];
    weights[mode] = 1.0;
    for k in mode..max {
        weights[k + 1] = weights[k] * rise(k);
    }
    for k in (0..mode).rev() {
        weights[k] = weights[k + 1] / rise(k);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Probability of every count, read off the table.
    fn probabilities(counts: &Counts) -> Vec<f64> {
        let mut before = 0;
        counts
            .ends
            .iter()
            .map(|&end| {
                let share = (end - before) as f64 / 2f64.powi(64);
                before = end;
                share
            })
            .collect()
    }

    fn close(found: &[f64], wanted: &[f64]) {
        for (k, wanted) in wanted.iter().enumerate() {
            let found = found.get(k).copied().unwrap_or(0.0);
            assert!((found - wanted).abs() < 1e-12, "{k}: {found} {wanted}");
        }
    }

    #[test]
    fn poisson_is_its_formula_with_the_rest_at_the_end() {
        let formula = |mean: f64, k: i32| {
            (-mean).exp() * mean.powi(k) / (1..=k).map(f64::from).product::<f64>()
        };
        let mut wanted: Vec<f64> = (0..4).map(|k| formula(2.5, k)).collect();
        wanted.push(1.0 - wanted.iter().sum::<f64>());
        close(&probabilities(&Counts::poisson(2.5, 4).unwrap()), &wanted);
        close(&probabilities(&Counts::poisson(0.0, 9).unwrap()), &[1.0]);
        let wide: Vec<f64> = (0..60).map(|k| formula(24.9, k)).collect();
        close(&probabilities(&Counts::poisson(24.9, 249).unwrap()), &wide);
    }

    #[test]
    fn binomial_is_its_formula() {
        let wanted = [0.343, 0.441, 0.189, 0.027];
        close(&probabilities(&Counts::binomial(3, 0.3).unwrap()), &wanted);
        close(&probabilities(&Counts::binomial(3, 0.0).unwrap()), &[1.0]);
        assert_eq!(Counts::binomial(5, 1.0).unwrap().draw(17), 5);
    }

    #[test]
    fn huge_means_do_not_overflow() {
        let mean = 20_000.0;
        let counts = Counts::poisson(mean, 200_000).unwrap();
        let shares = probabilities(&counts);
        let found: f64 = shares.iter().enumerate().map(|(k, p)| k as f64 * p).sum();
        assert!((found - mean).abs() < 1e-3, "{found}");
    }

    #[test]
    fn bad_weights_are_refused() {
        for weights in [
            &[0.0, 0.0][..],
            &[],
            &[1.0, -0.5],
            &[f64::NAN],
            &[f64::MAX, f64::MAX],
        ] {
            assert!(Counts::table(weights).is_err(), "{weights:?}");
        }
    }

    proptest! {
        #[test]
        fn the_guide_changes_nothing(
            weights in prop::collection::vec(prop_oneof![Just(0.0), 0.0..1.0f64], 1..40),
            words in prop::collection::vec(any::<u64>(), 50),
        ) {
            prop_assume!(weights.iter().sum::<f64>() > 0.0);
            let counts = Counts::table(&weights).unwrap();
            for word in words.into_iter().chain([0, u64::MAX]) {
                let wanted = counts.ends[..counts.max()].iter().filter(|&&end| end <= word).count();
                prop_assert_eq!(counts.draw(word), wanted);
                prop_assert!(weights[counts.draw(word)] > 0.0);
            }
        }
    }
}
