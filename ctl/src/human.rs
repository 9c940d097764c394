//! Times, ages and operating-system errors in the words that people and scripts know from `docker`.

use std::io;

pub(crate) const NS_PER_SEC: i64 = 1_000_000_000;
const SECS_PER_DAY: i64 = 86_400;
const DAYS_PER_WEEK: u64 = 7;
const DAYS_PER_MONTH: u64 = 30;
const DAYS_PER_YEAR: u64 = 365;

/// How long something took, roughly: `About a minute`, `3 days`.
pub(crate) fn duration(ns: i64) -> String {
    let secs = u64::try_from(ns / NS_PER_SEC).unwrap_or(0);
    let minutes = secs / 60;
    // Hours are rounded, everything else is cut.
    let hours = (secs + 1_800) / 3_600;
    let days = hours / 24;
    match (secs, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{secs} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, 2..48) => format!("{hours} hours"),
        _ if days < 2 * DAYS_PER_WEEK => format!("{days} days"),
        _ if days < 2 * DAYS_PER_MONTH => format!("{} weeks", days / DAYS_PER_WEEK),
        _ if days < 2 * DAYS_PER_YEAR => format!("{} months", days / DAYS_PER_MONTH),
        _ => format!("{} years", secs / 3_600 / 24 / DAYS_PER_YEAR),
    }
}

/// How long ago `at` was, as in a list: `16 seconds ago`.
pub(crate) fn age(now_ns: i64, at_ns: i64) -> String {
    format!("{} ago", duration(now_ns.saturating_sub(at_ns)))
}

/// A day and a time of day in UTC.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
    nanos: i64,
}

/// Counts days in eras of 400 years that begin on the first of March, where leap days come last.
fn civil(ns: i64) -> Civil {
    let secs = ns.div_euclid(NS_PER_SEC);
    let days = secs.div_euclid(SECS_PER_DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: era * 400 + year_of_era + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        second_of_day: secs.rem_euclid(SECS_PER_DAY),
        nanos: ns.rem_euclid(NS_PER_SEC),
    }
}

impl Civil {
    fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// The time of day, with as many digits of a second as are needed.
    fn time(&self) -> String {
        let (hour, minute) = (self.second_of_day / 3_600, self.second_of_day / 60 % 60);
        let clock = format!("{hour:02}:{minute:02}:{:02}", self.second_of_day % 60);
        let fraction = format!("{:09}", self.nanos);
        match fraction.trim_end_matches('0') {
            "" => clock,
            digits => format!("{clock}.{digits}"),
        }
    }
}

/// RFC 3339 in UTC with up to nine digits of a second: `2026-11-20T20:31:12.518797996Z`.
pub(crate) fn rfc3339(ns: i64) -> String {
    let at = civil(ns);
    format!("{}T{}Z", at.date(), at.time())
}

/// The same with all nine digits, so that lines stand in columns: `2026-11-20T20:31:12.500000000Z`.
pub(crate) fn rfc3339_fixed(ns: i64) -> String {
    let mut at = civil(ns);
    let nanos = std::mem::take(&mut at.nanos);
    format!("{}T{}.{nanos:09}Z", at.date(), at.time())
}

/// The form of `inspect --pretty`: `2026-11-20 20:31:12.518797996 +0000 utc`.
pub(crate) fn pretty_time(ns: i64) -> String {
    let at = civil(ns);
    format!("{} {} +0000 utc", at.date(), at.time())
}

/// An operating-system error as short words: `no such file or directory`.
pub(crate) fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => "unknown error".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn durations_are_rounded_as_docker_rounds_them() {
        for (secs, expected) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (2, "2 seconds"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (HOUR - 1, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + HOUR / 2 - 1, "About an hour"),
            (HOUR + HOUR / 2, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (14 * DAY - HOUR, "13 days"),
            (14 * DAY, "2 weeks"),
            (60 * DAY - HOUR, "8 weeks"),
            (60 * DAY, "2 months"),
            (730 * DAY - HOUR, "24 months"),
            (730 * DAY, "2 years"),
            (3_649 * DAY, "9 years"),
        ] {
            assert_eq!(duration(secs * NS_PER_SEC), expected, "{secs} s");
        }
    }

    #[test]
    fn an_age_is_counted_from_now_and_never_negative() {
        assert_eq!(age(17 * NS_PER_SEC, NS_PER_SEC), "16 seconds ago");
        assert_eq!(age(0, NS_PER_SEC), "Less than a second ago");
    }

    #[test]
    fn times_are_shown_in_utc_without_needless_zeros() {
        for (ns, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400 * NS_PER_SEC, "2000-02-29T00:00:00Z"),
            (4_107_542_399 * NS_PER_SEC, "2100-02-28T23:59:59Z"),
            (4_107_542_400 * NS_PER_SEC, "2100-03-01T00:00:00Z"),
            (1_795_206_672_518_797_996, "2026-11-20T20:31:12.518797996Z"),
            (1_795_206_672_500_000_000, "2026-11-20T20:31:12.5Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ] {
            assert_eq!(rfc3339(ns), expected, "{ns} ns");
        }
    }

    #[test]
    fn a_fixed_time_has_all_its_digits() {
        for (ns, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1_795_206_672_500_000_000, "2026-11-20T20:31:12.500000000Z"),
            (1_795_206_672_518_797_996, "2026-11-20T20:31:12.518797996Z"),
        ] {
            assert_eq!(rfc3339_fixed(ns), expected, "{ns} ns");
        }
    }

    #[test]
    fn the_pretty_form_has_a_space_and_a_zone() {
        let expected = "2026-11-20 20:31:12.518797996 +0000 utc";
        assert_eq!(pretty_time(1_795_206_672_518_797_996), expected);
    }

    #[test]
    fn an_os_error_is_its_words_alone() {
        let missing = std::fs::File::open("/nonexistent/file").unwrap_err();
        assert_eq!(os_error(&missing), "no such file or directory");
        assert_eq!(os_error(&io::Error::other("Odd")), "odd");
    }
}
