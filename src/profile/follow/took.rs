//! What counting adds to a call. Pure.

use crate::profile::model::Estimate;
use crate::sys::account::BURSTS;

/// Nanoseconds of a call of denet's own at one moment, in some bursts of calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Took {
    /// Nothing attached.
    pub(super) bare_ns: [f64; BURSTS],
    /// denet attached, and following the caller.
    pub(super) counted_ns: [f64; BURSTS],
}

/// What counting adds, in nanoseconds. Other work on the machine only adds, so of either the fastest burst counts, of
/// all moments; how far the next fastest ones are from it shows what the difference is worth. But other work on the
/// core may have slowed down all that was bare: then the moment that shows most is used, and the least is not known.
/// `None` if counting does not show at all: not by a nanosecond.
pub(super) fn added_ns(moments: &[Took]) -> Option<Estimate> {
    let overall = difference(moments);
    if overall.about >= 1.0 {
        return Some(overall);
    }
    let within = moments.iter().map(|took| difference(&[*took]));
    let most = within.max_by(|a, b| a.about.total_cmp(&b.about))?;
    (most.about >= 1.0).then_some(Estimate { least: 0.0, ..most })
}

fn difference(moments: &[Took]) -> Estimate {
    let bursts = |of: fn(&Took) -> &[f64; BURSTS]| {
        let mut bursts: Vec<f64> = moments.iter().flat_map(of).copied().collect();
        bursts.sort_by(f64::total_cmp);
        (bursts[0], bursts[bursts.len() / 4])
    };
    let (bare, bare_slower) = bursts(|took| &took.bare_ns);
    let (counted, counted_slower) = bursts(|took| &took.counted_ns);
    Estimate {
        least: (counted - bare_slower).max(0.0),
        about: counted - bare,
        most: counted_slower - bare,
    }
}

/// The fastest burst.
pub(super) fn fastest(bursts: &[f64; BURSTS]) -> f64 {
    bursts.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(moments: [(f64, f64); 2], noise: f64) -> Option<Estimate> {
        let bursts = |fastest: f64| std::array::from_fn(|at| fastest + noise * at as f64);
        added_ns(&moments.map(|(bare, counted)| Took {
            bare_ns: bursts(bare),
            counted_ns: bursts(counted),
        }))
    }

    fn estimate(least: f64, about: f64, most: f64) -> Option<Estimate> {
        Some(Estimate { least, about, most })
    }

    #[test]
    fn the_fastest_of_all_moments_counts() {
        let quiet = added([(100.0, 180.0), (90.0, 200.0)], 0.0);
        assert_eq!(quiet, estimate(90.0, 90.0, 90.0));
        let quiet = added([(200.0, 180.0), (90.0, 300.0)], 0.0);
        assert_eq!(quiet, estimate(90.0, 90.0, 90.0));
    }

    #[test]
    fn bursts_that_differ_widen_the_range() {
        // The fifth of sixteen bursts is two steps from the first.
        let noisy = added([(100.0, 103.0), (100.0, 103.0)], 20.0);
        assert_eq!(noisy, estimate(0.0, 3.0, 43.0));
        let noisy = added([(100.0, 180.0), (100.0, 180.0)], 2.0);
        assert_eq!(noisy, estimate(76.0, 80.0, 84.0));
    }

    #[test]
    fn if_all_that_was_bare_was_slowed_down_one_moment_is_used() {
        let slowed = added([(800.0, 1200.0), (802.0, 790.0)], 0.0);
        assert_eq!(slowed, estimate(0.0, 400.0, 400.0));
    }

    #[test]
    fn what_does_not_show_is_not_known() {
        assert_eq!(added([(800.0, 700.0), (802.0, 790.0)], 5.0), None);
        assert_eq!(added([(800.0, 800.4), (802.0, 790.0)], 5.0), None);
    }
}
