//! Seconds since 1970 as a date.

/// `1970-01-01T00:00:01.000002+0000`, with that many digits behind the point; `None` of no time at
/// all, of a part that is no part of a second, and of years without four digits.
pub(super) fn text(seconds: i64, part: i64, digits: usize) -> Option<String> {
    let whole = 10_i64.checked_pow(u32::try_from(digits).ok()?)?;
    if (seconds, part) == (0, 0) || !(0..whole).contains(&part) {
        return None;
    }
    let (days, of_day) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    let (year, month, day) = civil(days)?;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = if part == 0 {
        String::new()
    } else {
        format!(".{part:0digits$}")
    };
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}+0000"
    ))
}

/// Year, month and day of the Gregorian calendar. Counted in eras of 400 years that begin in March,
/// so that the leap day is the last of its year.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era.checked_mul(400)? + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let told = |seconds, part| text(seconds, part, 6).unwrap();
        assert_eq!(told(1, 2), "1970-01-01T00:00:01.000002+0000");
        assert_eq!(told(951_782_400, 0), "2000-02-29T00:00:00+0000");
        assert_eq!(told(1_700_000_000, 0), "2023-11-14T22:13:20+0000");
        assert_eq!(told(-1, 0), "1969-12-31T23:59:59+0000");
        for (seconds, part) in [(0, 0), (1, 1_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            assert_eq!(text(seconds, part, 6), None);
        }
    }
}
