//! What a described task may look like, and that its bytes are refused unless they are whole.

use super::*;

fn plain() -> LaunchSpec {
    LaunchSpec {
        command: vec!["sh".into(), "-c".into(), String::new()],
        env: vec!["A=1".into(), "B==".into()],
        workdir: "/".into(),
        user: TaskUser::Dynamic { uid: 7, gid: 8 },
        hide: vec!["/state".into(), OsStr::from_bytes(b"/not utf8 \xff").into()],
    }
}

#[test]
fn a_described_task_survives_the_way() {
    let users = [
        TaskUser::Dynamic { uid: 1, gid: 2 },
        TaskUser::NamespacedRoot { base: 1 << 20 },
        TaskUser::Rootless,
    ];
    for user in users {
        let checked = CheckedSpec::parse(LaunchSpec { user, ..plain() });
        let decoded = checked.clone().and_then(|c| CheckedSpec::decode(&c.encode()));
        assert_eq!(decoded, checked, "{user:?}");
    }
}

#[test]
fn what_cannot_be_started_is_refused() {
    let rows: [(LaunchSpec, SpecError); 12] = [
        (LaunchSpec { command: vec![], ..plain() }, SpecError::NoCommand),
        (LaunchSpec { command: vec![String::new()], ..plain() }, SpecError::NoCommand),
        (
            LaunchSpec { command: vec!["a".into(), "b\0".into()], ..plain() },
            SpecError::NulInCommand(1),
        ),
        (LaunchSpec { env: vec!["A".into()], ..plain() }, SpecError::BadEnvironment(0)),
        (LaunchSpec { env: vec!["=A".into()], ..plain() }, SpecError::BadEnvironment(0)),
        (LaunchSpec { workdir: "a/b".into(), ..plain() }, SpecError::BadPath("a/b".into())),
        (LaunchSpec { hide: vec!["a".into()], ..plain() }, SpecError::BadPath("a".into())),
        (LaunchSpec { hide: vec!["/".into()], ..plain() }, SpecError::BadPath("/".into())),
        (LaunchSpec { hide: vec!["/a/..".into()], ..plain() }, SpecError::BadPath("/a/..".into())),
        (LaunchSpec { user: TaskUser::Dynamic { uid: 0, gid: 5 }, ..plain() }, SpecError::HostRoot),
        (
            LaunchSpec { user: TaskUser::Dynamic { uid: 5, gid: u32::MAX }, ..plain() },
            SpecError::HostRoot,
        ),
        (
            LaunchSpec { user: TaskUser::NamespacedRoot { base: u32::MAX - 9 }, ..plain() },
            SpecError::BadBase { base: u32::MAX - 9 },
        ),
    ];
    for (spec, expected) in rows {
        assert_eq!(CheckedSpec::parse(spec.clone()), Err(expected), "{spec:?}");
    }
}

#[test]
fn a_huge_environment_is_refused() {
    let env = vec![format!("A={}", "x".repeat(SPEC_BYTES_MAX))];
    let refused = CheckedSpec::parse(LaunchSpec { env, ..plain() });
    assert!(matches!(refused, Err(SpecError::TooLarge { size }) if size > SPEC_BYTES_MAX));
    let refused = CheckedSpec::decode(&vec![3; SPEC_BYTES_MAX + 1]);
    assert_eq!(refused, Err(SpecError::TooLarge { size: SPEC_BYTES_MAX + 1 }));
}

#[test]
fn cut_or_longer_bytes_are_refused() {
    let bytes = CheckedSpec::parse(plain()).map(|spec| spec.encode()).unwrap();
    for length in 0..bytes.len() {
        let refused = CheckedSpec::decode(&bytes[..length]);
        assert_eq!(refused, Err(SpecError::Unreadable(DecodeError::Truncated)), "{length}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    let refused = CheckedSpec::decode(&longer);
    assert_eq!(refused, Err(SpecError::Unreadable(DecodeError::TooLong(1))));
}

#[test]
fn changed_bytes_never_panic() {
    let bytes = CheckedSpec::parse(plain()).map(|spec| spec.encode()).unwrap();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            if let Ok(spec) = CheckedSpec::decode(&changed) {
                assert_eq!(CheckedSpec::decode(&spec.encode()), Ok(spec), "{at} {flip}");
            }
        }
    }
}
