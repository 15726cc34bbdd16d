//! Numbers that were measured under noise, with as many digits as that supports.

use crate::profile::model::Estimate;

/// "about 85 ns", "40 to 110 ns" or "at most 120 ns".
pub(super) fn approximate(of: &Estimate, unit: &str) -> String {
    let spread = of.most - of.least;
    if of.least < 0.1 * of.most {
        let (step, digits) = step(of.most / 10.0);
        let most = (of.most / step).ceil() * step;
        return format!("at most {most:.digits$}{unit}");
    }
    if spread <= of.about / 4.0 {
        // Two digits at most.
        let second = 10_f64.powf(of.about.log10().floor() - 1.0);
        let (step, digits) = step((spread / 2.0).max(second));
        let about = (of.about / step).round() * step;
        return format!("about {about:.digits$}{unit}");
    }
    let (step, digits) = step(spread / 10.0);
    let (least, most) = (
        (of.least / step).floor() * step,
        (of.most / step).ceil() * step,
    );
    format!("{least:.digits$} to {most:.digits$}{unit}")
}

/// The next larger of 1, 2 and 5 times a power of ten, and how many decimals it has.
fn step(least: f64) -> (f64, usize) {
    let power = least.max(1e-9).log10().floor();
    let decade = 10_f64.powf(power);
    let factors = [1.0, 2.0, 5.0, 10.0].into_iter();
    let mut steps = factors.map(|factor| factor * decade);
    let step = steps.find(|step| *step >= least * 0.999).unwrap_or(decade);
    let decimals = (-(step * 1.001).log10().floor()).max(0.0);
    (step, decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_that_were_measured() {
        let of = |least, about, most| approximate(&Estimate { least, about, most }, " ns");
        assert_eq!(of(84.0, 84.2, 84.4), "about 84 ns");
        assert_eq!(of(81.0, 84.0, 87.0), "about 85 ns");
        assert_eq!(of(43.0, 80.0, 107.0), "40 to 110 ns");
        assert_eq!(of(0.0, 3.0, 43.0), "at most 45 ns");
        assert_eq!(of(0.0, 3.0, 113.0), "at most 120 ns");
        assert_eq!(of(1203.0, 1234.0, 1270.0), "about 1200 ns");
        assert_eq!(of(2.47, 2.5, 2.52), "about 2.5 ns");
        assert_eq!(of(0.031, 0.032, 0.033), "about 0.032 ns");
        assert_eq!(of(0.01, 0.02, 0.05), "0.010 to 0.050 ns");
    }
}
