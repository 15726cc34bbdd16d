//! The mix of calls, in words. It says what was called, not what limits the program: a program that burns CPU, or
//! waits for a lock, may call for files alone.

use crate::output::layout::{grouped, percent, share_of};

/// Categories that are named, the largest.
const NAMED: usize = 3;

/// Shares of the categories, and calls per second where that is known; `None` without calls.
pub(super) fn of_calls<'a>(
    by_category: impl Iterator<Item = (&'a str, u64)>,
    per_sec: Option<f64>,
) -> Option<String> {
    let mut by_size: Vec<_> = by_category.filter(|(_, count)| *count > 0).collect();
    by_size.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let sum = |categories: &[(&str, u64)]| {
        let counts = categories.iter().map(|(_, count)| *count);
        counts.fold(0, u64::saturating_add)
    };
    let total = sum(&by_size);
    if total == 0 {
        return None;
    }
    let (named, rest) = by_size.split_at(NAMED.min(by_size.len()));
    let mut shares: Vec<_> = named
        .iter()
        .map(|(name, count)| format!("{} {name}", percent(share_of(*count, total))))
        .collect();
    if !rest.is_empty() {
        let share = percent(share_of(sum(rest), total));
        shares.push(format!("{share} in {} more", rest.len()));
    }
    let rate = per_sec.map(|rate| format!("; {} per second", grouped(rate.round() as u64)));
    Some(format!(
        "mix of calls: {}{}",
        shares.join(", "),
        rate.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_shares_and_the_rest() {
        let of = |counts: &[(&str, u64)], rate| of_calls(counts.iter().copied(), rate);
        assert_eq!(of(&[], Some(5.0)), None);
        assert_eq!(of(&[("file_io", 0)], None), None);
        let two = [("file_io", 1), ("ipc", 0), ("memory", 3)];
        let text = of(&two, Some(1234.4)).unwrap();
        assert_eq!(
            text,
            "mix of calls: 75.0% memory, 25.0% file_io; 1,234 per second"
        );
        let five = [("a", 40), ("b", 30), ("c", 20), ("d", 7), ("e", 3)];
        assert_eq!(
            of(&five, None).unwrap(),
            "mix of calls: 40.0% a, 30.0% b, 20.0% c, 10.0% in 2 more"
        );
    }
}
