//! Checks a history by what answers say of themselves: each names the log's index and the version, so that the
//! order is known, and only has to be one that the clients' clocks allow.

use std::collections::BTreeMap;

use super::history::{Answer, Call};

/// What is wrong with a history, each in one line. Empty if nothing is.
pub fn violations(calls: &[Call]) -> Vec<String> {
    let mut found = Vec::new();
    indexes(calls, &mut found);
    let mut keys: BTreeMap<usize, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        keys.entry(call.key).or_default().push(call);
    }
    for (key, calls) in keys {
        versions(key, &calls, &mut found);
        values(key, &calls, &mut found);
    }
    found
}

type Wrong = Vec<String>;

/// Calls in the order of their ends and of their starts: whatever was answered before a call began.
fn after(
    calls: &[&Call],
    mut look: impl FnMut(&Call, Option<(&Call, u64)>),
    of: impl Fn(Answer) -> u64,
) {
    let mut ends: Vec<(&Call, Answer)> =
        calls.iter().filter_map(|call| Some((*call, call.answer()?))).collect();
    ends.sort_by_key(|(call, _)| call.end);
    let mut starts = calls.to_vec();
    starts.sort_by_key(|call| call.start);
    let mut highest: Option<(&Call, u64)> = None;
    let mut next = 0;
    for call in starts {
        while let Some((ended, answer)) = ends.get(next).filter(|(one, _)| one.end < call.start) {
            if highest.is_none_or(|(_, high)| of(*answer) > high) {
                highest = Some((ended, of(*answer)));
            }
            next += 1;
        }
        look(call, highest);
    }
}

/// No answer is of before one that was given before the call began, whatever the key.
fn indexes(calls: &[Call], found: &mut Wrong) {
    let calls: Vec<&Call> = calls.iter().collect();
    let look = |call: &Call, highest: Option<(&Call, u64)>| {
        let (Some(answer), Some((before, high))) = (call.answer(), highest) else { return };
        if answer.index < high {
            found.push(format!("stale: {call:?} came after {before:?}"));
        }
    };
    after(&calls, look, |answer| answer.index);
}

/// The same for the versions of one key; and a write makes a newer version than all that were known.
fn versions(key: usize, calls: &[&Call], found: &mut Wrong) {
    let look = |call: &Call, highest: Option<(&Call, u64)>| {
        let (Some(answer), Some((before, high))) = (call.answer(), highest) else { return };
        let version = u64::from(answer.version);
        if version < high || (call.is_write() && version == high) {
            found.push(format!("old version of key {key}: {call:?} came after {before:?}"));
        }
    };
    after(calls, look, |answer| u64::from(answer.version));
}

/// Each version has one value and each value one version; none that was acknowledged is gone, and none is
/// there that nobody wrote.
fn values(key: usize, calls: &[&Call], found: &mut Wrong) {
    let mut of_version: BTreeMap<u32, u64> = BTreeMap::new();
    let mut of_value: BTreeMap<u64, u32> = BTreeMap::new();
    for call in calls {
        let Some(answer) = call.answer() else { continue };
        let value = call.value();
        let other = *of_version.entry(answer.version).or_insert(value);
        if other != value {
            found.push(format!(
                "version {} of key {key} is {other} and {value}: {call:?}",
                answer.version
            ));
        }
        let other = *of_value.entry(value).or_insert(answer.version);
        if other != answer.version {
            found.push(format!("doubled: {value} of key {key} is version {other}, too: {call:?}"));
        }
    }
    let writes: BTreeMap<u64, &Call> =
        calls.iter().filter(|call| call.is_write()).map(|call| (call.value(), *call)).collect();
    for (value, version) in &of_value {
        match writes.get(value) {
            None => found.push(format!("key {key}: nobody wrote {value}, version {version}")),
            Some(write) => {
                let early = calls.iter().find(|call| {
                    !call.is_write() && call.value() == *value && call.end < write.start
                });
                found.extend(early.map(|call| format!("read before it was written: {call:?}")));
            }
        }
    }
    // What no answer tells of can only be a write whose outcome nobody knows.
    let newest = of_version.keys().last().copied().unwrap_or(0);
    let missing = (1..=newest).filter(|version| !of_version.contains_key(version)).count();
    let open = writes.values().filter(|write| !of_value.contains_key(&write.value())).count();
    if missing > open {
        found.push(format!(
            "key {key}: {missing} versions that nobody wrote, {open} unknown writes"
        ));
    }
}
