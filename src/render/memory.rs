//! Peak memory, labelled.

use crate::output::layout::bytes;

/// The proportional set size if it was read, and the resident sets, whose sum counts shared pages once for each
/// process.
pub(super) fn peak(
    pss_kb: Option<u64>,
    rss_kb: Option<u64>,
    processes: Option<u64>,
) -> Option<String> {
    let size = |kb: u64| bytes(kb.saturating_mul(1024));
    let label = match processes {
        Some(1) => "RSS",
        _ => "sum of RSS",
    };
    let pss = pss_kb.map(|kb| format!("{} PSS in samples", size(kb)));
    let rss = rss_kb.map(|kb| format!("{} {label}", size(kb)));
    let known: Vec<_> = pss.into_iter().chain(rss).collect();
    (!known.is_empty()).then(|| format!("peak {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_resident_sets_is_called_one() {
        let of = |pss, rss, processes| peak(pss, rss, processes).unwrap_or_default();
        assert_eq!(
            of(Some(230_400), Some(1_936_384), Some(9)),
            "peak 225.0 MiB PSS in samples, 1.8 GiB sum of RSS"
        );
        assert_eq!(of(None, Some(2048), Some(1)), "peak 2.0 MiB RSS");
        assert_eq!(of(None, Some(2048), Some(2)), "peak 2.0 MiB sum of RSS");
        assert_eq!(of(None, Some(2048), None), "peak 2.0 MiB sum of RSS");
        assert_eq!(of(None, None, None), "");
    }
}
