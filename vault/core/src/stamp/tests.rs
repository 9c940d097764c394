//! Stamps as runs of readings, and as what holds whatever the clocks do.

use proptest::prelude::*;

use super::*;

const SEC: u64 = 1_000_000_000;
const NOON: u64 = 1_800_000_000;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_nanos(secs * SEC)
}

fn alone(steady_secs: u64, wall_secs: u64) -> Readings<'static> {
    Readings { steady_ns: steady_secs * SEC, wall: at(wall_secs), managers: 1, others: &[] }
}

/// Seconds behind noon at which a stamper of a lone manager stamped, with its verdict and whether the clock
/// is followed, for readings of both clocks in seconds.
fn run(readings: &[(u64, u64)]) -> Vec<(u64, Verdict, bool)> {
    let mut stamper = Stamper::default();
    let stamped = readings.iter().map(|(steady, wall)| {
        let Stamped { at, clock, is_followed } = stamper.stamp(alone(*steady, NOON + wall));
        (at.nanos() / SEC - NOON, clock, is_followed)
    });
    stamped.collect()
}

fn ahead(secs: u64) -> Verdict {
    Verdict::Ahead { by_ns: secs * SEC }
}

fn behind(secs: u64) -> Verdict {
    Verdict::Behind { by_ns: secs * SEC }
}

#[test]
fn a_clock_that_keeps_its_course_is_followed() {
    let readings = [(0, 0), (1, 1), (100, 100), (101, 104), (102, 102), (104, 104)];
    let stamps: Vec<_> = run(&readings).into_iter().map(|(at, ..)| at).collect();
    assert_eq!(stamps, [0, 1, 100, 104, 104, 105], "never back, and half as fast while it waits");
    assert!(run(&readings).iter().all(|(_, clock, followed)| *clock == Verdict::Fine && *followed));
}

#[test]
fn a_clock_that_is_off_by_the_bound_itself_is_followed() {
    for (readings, expected) in [
        ([(0, 0), (1, 6)], 6),
        ([(10, 10), (11, 6)], 10),
        // One that stands still is waited with, not run away from.
        ([(0, 0), (2, 0)], 0),
    ] {
        assert_eq!(run(&readings)[1], (expected, Verdict::Fine, true), "{readings:?}");
    }
}

#[test]
fn from_one_side_of_the_course_to_the_other_is_more_than_one_step() {
    let stamps: Vec<_> =
        run(&[(0, 0), (10, 5), (11, 16), (12, 17)]).into_iter().map(|(at, ..)| at).collect();
    assert_eq!(stamps, [0, 5, 11, 17]);
}

#[test]
fn a_stamp_that_is_heard_of_again_later_takes_no_time_away() {
    let mut stamper = Stamper::default();
    stamper.stamp(alone(0, NOON));
    stamper.observe(10 * SEC, at(NOON));
    assert_eq!(stamper.stamp(alone(10, NOON + 10)).at, at(NOON + 10));
}

#[test]
fn a_jump_ahead_is_followed_only_once_it_holds() {
    assert_eq!(
        run(&[(0, 0), (1, 3601), (5, 3605), (11, 3611), (12, 3612)]),
        [
            (0, Verdict::Fine, true),
            (1, ahead(3600), false),
            (5, ahead(3600), false),
            (3611, ahead(3600), true),
            (3612, Verdict::Fine, true),
        ]
    );
}

#[test]
fn a_jump_that_is_taken_back_leaves_no_trace() {
    assert_eq!(
        run(&[(0, 0), (1, 3601), (8, 8), (9, 9), (20, 3620)]),
        [
            (0, Verdict::Fine, true),
            (1, ahead(3600), false),
            (8, Verdict::Fine, true),
            (9, Verdict::Fine, true),
            (20, ahead(3600), false),
        ]
    );
}

#[test]
fn a_clock_that_was_put_back_is_waited_for() {
    assert_eq!(
        run(&[(1000, 1000), (1010, 410), (1020, 420), (1030, 430), (3000, 2400)]),
        [
            (1000, Verdict::Fine, true),
            (1010, behind(600), false),
            // It held: from here on stamps go half as fast, until the clock has caught up.
            (1015, behind(600), true),
            (1020, behind(585), true),
            (2400, Verdict::Fine, true),
        ]
    );
}

#[test]
fn at_a_start_the_clock_is_believed_and_a_strange_one_is_named() {
    let year = CLOCK_AWAY_NS / SEC;
    for (wall, expected, clock) in [
        (NOON, NOON, Verdict::Fine),
        (NOON + 86_400, NOON + 86_400, Verdict::Fine),
        (NOON + year, NOON + year, Verdict::Fine),
        (NOON + year + 1, NOON + year + 1, ahead(year + 1)),
        (NOON - 5, NOON, Verdict::Fine),
        (NOON - 6, NOON, behind(6)),
        (NOON - 60, NOON, behind(60)),
    ] {
        let mut stamper = Stamper::default();
        stamper.observe(0, at(NOON));
        let stamped = stamper.stamp(alone(7, wall));
        assert_eq!((stamped.at, stamped.clock), (at(expected), clock), "wall {wall}");
    }
    let first = Stamper::default().stamp(alone(7, NOON));
    assert_eq!((first.at, first.clock), (at(NOON), Verdict::Fine), "a cluster without a stamp");
}

#[test]
fn among_several_managers_the_majority_decides_at_once() {
    let hour = NOON + 3600;
    for (managers, others, is_followed) in [
        (3, &[hour + 1, NOON][..], true),
        (3, &[NOON, NOON + 1], false),
        (3, &[], false),
        (2, &[NOON], false),
        (2, &[hour], true),
        (5, &[hour, hour, 0, 0], true),
        (5, &[hour, NOON, NOON, NOON], false),
    ] {
        let others: Vec<_> = others.iter().copied().map(at).collect();
        let mut stamper = Stamper::default();
        let agreed = [at(NOON); 4];
        let start = Readings { managers, others: &agreed[..managers - 1], ..alone(0, NOON) };
        assert_eq!(stamper.stamp(start).at, at(NOON));
        let jumped = Readings { managers, others: &others, ..alone(1, hour) };
        let stamped = stamper.stamp(jumped);
        assert_eq!(stamped.is_followed, is_followed, "{managers} managers, {others:?}");
        let expected = if is_followed { at(hour) } else { at(NOON + 1) };
        assert_eq!(stamped.at, expected, "{managers} managers, {others:?}");
        assert_eq!(stamped.clock, ahead(3599));
    }
}

#[test]
fn a_start_without_a_majority_goes_on_from_the_last_stamp() {
    let mut stamper = Stamper::default();
    stamper.observe(0, at(NOON));
    let others = [at(NOON), at(NOON)];
    let mut read = |steady| {
        let now = Readings { managers: 3, others: &others, ..alone(steady, NOON + 9_999) };
        stamper.stamp(now).at
    };
    assert_eq!([read(100), read(101), read(160)], [at(NOON), at(NOON + 1), at(NOON + 60)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Steady clocks go on; the clock of the day does what it likes.
    #[test]
    fn stamps_never_go_back_and_each_step_ahead_has_its_bound_or_a_majority(
        steps in prop::collection::vec((0..30 * SEC, 0..100_000 * SEC, any::<bool>()), 1..60),
        managers in 1..4_usize,
    ) {
        let mut stamper = Stamper::default();
        let (mut steady_ns, mut last) = (0, None::<Timestamp>);
        for (passed, wall, agree) in steps {
            steady_ns += passed;
            let wall = at(NOON).plus(wall);
            let others = vec![if agree { wall } else { Timestamp::default() }; managers - 1];
            let stamped = stamper.stamp(Readings { steady_ns, wall, managers, others: &others });
            if let Some(last) = last {
                prop_assert!(stamped.at >= last);
                let bound = last.plus(passed).plus(STAMP_AHEAD_NS);
                let is_agreed = stamped.is_followed && (managers == 1 || agree);
                prop_assert!(stamped.at <= bound || is_agreed, "{stamped:?} after {last:?}");
            }
            last = Some(stamped.at);
        }
    }

    /// A clock that nobody agrees with, or that never stays where it jumped to, gains no more than the bound
    /// in all: steps that are small each do not add up.
    #[test]
    fn without_agreement_the_bound_holds_over_all_stamps_together(
        steps in prop::collection::vec((1..SEC, 0..1_000_u64), 1..200),
        is_alone in any::<bool>(),
    ) {
        let mut stamper = Stamper::default();
        let others = [Timestamp::default(), Timestamp::default()];
        let (managers, others) = if is_alone { (1, &others[..0]) } else { (3, &others[..]) };
        let agreed = [at(NOON), at(NOON)];
        let start = Readings { steady_ns: 0, wall: at(NOON), managers, others: &agreed };
        stamper.stamp(start);
        let mut steady_ns = 0;
        for (number, (passed, off)) in (0_u64..).zip(steps) {
            steady_ns += passed;
            // Alone, each jump goes elsewhere; among others, the clock may stay or creep.
            let off = if is_alone { off % 6 + 11 * (number % 2) * (number + 1) } else { off };
            let wall = at(NOON + off).plus(steady_ns);
            let stamped = stamper.stamp(Readings { steady_ns, wall, managers, others });
            let bound = at(NOON).plus(steady_ns).plus(STAMP_AHEAD_NS);
            prop_assert!(stamped.at <= bound, "{stamped:?} after {steady_ns} ns");
        }
    }
}
