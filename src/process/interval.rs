//! How long until the next sample. Pure.

use std::time::Duration;

/// Base interval for so long,
const BASE_UNTIL: Duration = Duration::from_secs(1);
/// then longer and longer up to the maximum by then.
const MAXIMUM_FROM: Duration = Duration::from_secs(10);

/// A short run is seen in detail, a long one at little cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adaptive {
    /// For the first second.
    pub(crate) base: Duration,
    /// From the tenth second on.
    pub(crate) max: Duration,
}

impl Adaptive {
    /// The interval that follows a sample so long after the start.
    pub(crate) fn after(self, elapsed: Duration) -> Duration {
        let ramp = (MAXIMUM_FROM - BASE_UNTIL).as_secs_f64();
        let on_ramp = elapsed.saturating_sub(BASE_UNTIL).as_secs_f64() / ramp;
        let longest = self.max.max(self.base);
        self.base + (longest - self.base).mul_f64(on_ramp.min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_for_a_second_then_linear_to_the_maximum_at_ten() {
        let adaptive = Adaptive {
            base: Duration::from_millis(100),
            max: Duration::from_millis(1000),
        };
        let after = |ms| adaptive.after(Duration::from_millis(ms)).as_millis();
        assert_eq!([after(0), after(1000)], [100, 100]);
        assert_eq!(
            [after(5500), after(10_000), after(99_000)],
            [550, 1000, 1000]
        );
        let fixed = Adaptive {
            max: Duration::ZERO,
            ..adaptive
        };
        assert_eq!(fixed.after(Duration::from_secs(60)).as_millis(), 100);
    }
}
