//! How often which values were seen, in a place of fixed size.

/// A power of two is cut into so many buckets.
const PARTS: u64 = 128;
const PART_BITS: u32 = PARTS.trailing_zeros();
const BUCKETS: usize = ((64 - PART_BITS as usize) + 1) * PARTS as usize;

/// A value is told from another if they differ by more than this share of them: percentiles are off by
/// half of it at most, that is 0.4 %.
pub(crate) const RESOLUTION: f64 = 1.0 / PARTS as f64;

/// Weights of whole values, by size: 58 KiB, whatever is added.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    weights: Vec<u64>,
    all: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            weights: vec![0; BUCKETS],
            all: 0,
        }
    }
}

impl Histogram {
    /// Adds a value that counts so much.
    pub(crate) fn add(&mut self, value: u64, weight: u64) {
        // All together stay below the largest number, so no bucket gets too full either.
        let weight = weight.min(u64::MAX - self.all);
        self.all += weight;
        self.weights[bucket(value)] += weight;
    }

    /// The value that this share of the weight does not exceed, 0.5 for the median; `None` without any.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let wanted = (self.all as f64 * share).ceil().max(1.0);
        let mut passed = 0_u64;
        for (at, weight) in self.weights.iter().enumerate() {
            passed += weight;
            if *weight > 0 && (passed as f64 >= wanted || passed == self.all) {
                return Some(middle(at));
            }
        }
        None
    }
}

/// The values below [`PARTS`] have one each; above, as many share one as the power of two says.
fn bucket(value: u64) -> usize {
    let beyond = (u64::BITS - value.leading_zeros()).saturating_sub(PART_BITS + 1);
    (u64::from(beyond) * PARTS + (value >> beyond)) as usize
}

/// The middle of what a bucket holds.
fn middle(at: usize) -> f64 {
    let at = at as u64;
    if at < 2 * PARTS {
        return at as f64;
    }
    let beyond = at / PARTS - 1;
    let first = ((at - beyond * PARTS) as f64) * 2_f64.powi(beyond as i32);
    first + (2_f64.powi(beyond as i32) - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_near_it() {
        let powers = (0..64).map(|bit| 1_u64 << bit);
        for value in powers.flat_map(|power| [power - 1, power, power + power / 3, power + 1]) {
            let middle = middle(bucket(value));
            let off = (middle - value as f64).abs();
            assert!(off <= value as f64 * RESOLUTION / 2.0, "{value}: {middle}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_of_what_was_added() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.5), None);
        for value in 1..=100 {
            histogram.add(value, 1);
        }
        assert_eq!(histogram.percentile(0.5), Some(50.0));
        assert_eq!(histogram.percentile(0.95), Some(95.0));
        assert_eq!(histogram.percentile(1.0), Some(100.0));
        histogram.add(7, 1000);
        assert_eq!(histogram.percentile(0.5), Some(7.0));
        histogram.add(9, u64::MAX);
        histogram.add(9, u64::MAX);
        assert_eq!(histogram.percentile(0.5), Some(9.0));
    }
}
