//! What counting adds to a call. Pure.

/// Nanoseconds of a call of denet's own, at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Took {
    /// Nothing attached.
    pub(super) bare_ns: f64,
    /// denet attached, and following the caller.
    pub(super) counted_ns: f64,
}

/// What counting adds, in nanoseconds. Whatever else happens on the machine only adds, so of either the
/// fastest counts, of all moments. But somebody else on the core may have slowed down all that was bare:
/// then the moment that shows most stands for itself. `None` where counting does not show at all: not by
/// a nanosecond.
pub(super) fn added_ns(moments: &[Took]) -> Option<f64> {
    let fastest = |of: fn(&Took) -> f64| moments.iter().map(of).fold(f64::INFINITY, f64::min);
    let overall = fastest(|took| took.counted_ns) - fastest(|took| took.bare_ns);
    let within = moments.iter().map(|took| took.counted_ns - took.bare_ns);
    let most = within.fold(f64::NEG_INFINITY, f64::max);
    [overall, most].into_iter().find(|ns| *ns >= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(moments: [(f64, f64); 2]) -> Option<f64> {
        added_ns(&moments.map(|(bare_ns, counted_ns)| Took {
            bare_ns,
            counted_ns,
        }))
    }

    #[test]
    fn the_fastest_of_all_moments_counts() {
        assert_eq!(added([(100.0, 180.0), (90.0, 200.0)]), Some(90.0));
        assert_eq!(added([(200.0, 180.0), (90.0, 300.0)]), Some(90.0));
    }

    #[test]
    fn where_all_that_was_bare_was_slowed_down_a_moment_stands_for_itself() {
        assert_eq!(added([(800.0, 1200.0), (802.0, 790.0)]), Some(400.0));
    }

    #[test]
    fn what_does_not_show_is_not_known() {
        assert_eq!(added([(800.0, 700.0), (802.0, 790.0)]), None);
        assert_eq!(added([(800.0, 800.4), (802.0, 790.0)]), None);
    }
}
