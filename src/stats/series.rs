//! One metric over time.

use super::histogram::Histogram;

/// A metric's mean, extremes and percentiles. Samples weigh as much as the time that they stand for:
/// denet samples less and less often.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Samples that had it.
    pub(crate) count: u64,
    /// Its mean over time.
    mean: f64,
    weight: f64,
    /// The largest value, and when.
    peak: Option<(f64, u64)>,
    least: f64,
    /// So many steps of the histogram make one unit.
    steps: f64,
    histogram: Option<Histogram>,
}

impl Series {
    /// Of which only mean and peak are asked.
    pub(crate) fn plain() -> Self {
        Self {
            count: 0,
            mean: 0.0,
            weight: 0.0,
            peak: None,
            least: f64::INFINITY,
            steps: 1.0,
            histogram: None,
        }
    }

    /// With percentiles, of values in steps of one over `steps`.
    pub(crate) fn with_percentiles(steps: f64) -> Self {
        Self {
            steps,
            histogram: Some(Histogram::default()),
            ..Self::plain()
        }
    }

    /// Adds a value, finite and not negative, that stands for `weight_ms` and was seen at `ts_ms`.
    pub(crate) fn add(&mut self, value: f64, weight_ms: u64, ts_ms: Option<u64>) {
        self.count += 1;
        // One that stands for no time still was there.
        let weight = weight_ms.max(1);
        self.weight += weight as f64;
        self.mean += (value - self.mean) * (weight as f64 / self.weight);
        self.least = self.least.min(value);
        if self.peak.is_none_or(|(peak, _)| value > peak) {
            self.peak = Some((value, ts_ms.unwrap_or(0)));
        }
        if let Some(histogram) = &mut self.histogram {
            histogram.add((value * self.steps).round() as u64, weight);
        }
    }

    /// Its mean over time.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The largest value.
    pub(crate) fn peak(&self) -> Option<f64> {
        self.peak.map(|(value, _)| value)
    }

    /// When it was largest, for the first time; `None` where the sample did not say.
    pub(crate) fn peak_ts_ms(&self) -> Option<u64> {
        self.peak.map(|(_, ts_ms)| ts_ms).filter(|ts_ms| *ts_ms > 0)
    }

    /// What it did not exceed for this share of the time, within [`super::histogram::RESOLUTION`].
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let value = self.histogram.as_ref()?.percentile(share)? / self.steps;
        // The middle of a bucket may be a value that was never reached.
        Some(value.clamp(self.least, self.peak()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_weigh_what_they_stand_for() {
        let mut series = Series::with_percentiles(1000.0);
        assert_eq!(
            (series.mean(), series.peak(), series.percentile(0.5)),
            (None, None, None)
        );
        series.add(100.0, 900, Some(5));
        series.add(0.0, 100, Some(6));
        assert_eq!(series.mean(), Some(90.0));
        assert_eq!((series.peak(), series.peak_ts_ms()), (Some(100.0), Some(5)));
        assert_eq!(series.percentile(0.5), Some(100.0));
        assert_eq!(series.percentile(0.05), Some(0.0));
    }

    #[test]
    fn percentiles_stay_within_what_was_seen() {
        let mut series = Series::with_percentiles(1.0);
        series.add(1_000_001.0, 0, None);
        assert_eq!(series.percentile(0.95), Some(1_000_001.0));
        assert_eq!(series.peak_ts_ms(), None);
    }
}
