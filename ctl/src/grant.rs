//! Parses `--secret` as Swarm reads it: a name, or `source=..,target=..,uid=..,gid=..,mode=..`.
//! The version that is pinned stands behind the name: `db@3`, or `db@label`.
//!
//! Only the form is checked here; whether the secret is there is the server's to say.

use std::collections::BTreeSet;
use std::num::IntErrorKind;

/// What one `--secret` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantRequest {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) uid: String,
    pub(crate) gid: String,
    pub(crate) mode: u32,
    /// A number or a label; empty for what is current.
    pub(crate) version: String,
}

/// Why a `--secret` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("invalid field '{0}' must be a key=value pair")]
    NotAPair(String),
    #[error("invalid field in secret request: {0}")]
    UnknownField(String),
    #[error("source is required")]
    SourceMissing,
    #[error("the version behind '@' is missing in '{0}'; it is a number or a label, as in db@3")]
    VersionMissing(String),
    #[error("invalid mode specified: strconv.ParseUint: parsing \"{0}\": invalid syntax")]
    ModeSyntax(String),
    #[error("invalid mode specified: strconv.ParseUint: parsing \"{0}\": value out of range")]
    ModeRange(String),
}

/// Two requests ask for the same file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("duplicate secret target for {0} not allowed")]
pub(crate) struct DuplicateTarget(String);

const MODE_DEFAULT: u32 = 0o444;

/// Reads one `--secret`.
pub(crate) fn parse(text: &str) -> Result<GrantRequest, GrantError> {
    let mut request = GrantRequest {
        source: String::new(),
        target: String::new(),
        uid: String::new(),
        gid: String::new(),
        mode: MODE_DEFAULT,
        version: String::new(),
    };
    if text.contains(['=', ',']) {
        text.split(',').try_for_each(|field| read_field(&mut request, field))?;
    } else {
        text.clone_into(&mut request.source);
    }
    if let Some((name, version)) = request.source.split_once('@') {
        if version.is_empty() {
            return Err(GrantError::VersionMissing(request.source));
        }
        (request.source, request.version) = (name.to_owned(), version.to_owned());
    }
    if request.source.is_empty() {
        return Err(GrantError::SourceMissing);
    }
    if request.target.is_empty() {
        request.target.clone_from(&request.source);
    }
    Ok(request)
}

fn read_field(request: &mut GrantRequest, field: &str) -> Result<(), GrantError> {
    let pair = field.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or_else(|| GrantError::NotAPair(field.to_owned()))?;
    let key = key.to_lowercase();
    match key.as_str() {
        "source" | "src" => value.clone_into(&mut request.source),
        "target" => value.clone_into(&mut request.target),
        "uid" => value.clone_into(&mut request.uid),
        "gid" => value.clone_into(&mut request.gid),
        "mode" => request.mode = parse_mode(value)?,
        _ => return Err(GrantError::UnknownField(key)),
    }
    Ok(())
}

/// The prefix tells the base, as in Swarm: `0440` is octal, and a bare `440` is decimal.
fn parse_mode(text: &str) -> Result<u32, GrantError> {
    let lower = text.to_lowercase();
    let prefixes = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)];
    let prefixed = prefixes.into_iter().find_map(|(prefix, base)| {
        lower.strip_prefix(prefix).filter(|digits| !digits.is_empty()).map(|digits| (digits, base))
    });
    let (digits, base) = prefixed.unwrap_or((lower.as_str(), 10));
    if !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err(GrantError::ModeSyntax(text.to_owned()));
    }
    u32::from_str_radix(digits, base).map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => GrantError::ModeRange(text.to_owned()),
        _ => GrantError::ModeSyntax(text.to_owned()),
    })
}

/// Refuses two requests for one file.
pub(crate) fn refuse_duplicates(requests: &[GrantRequest]) -> Result<(), DuplicateTarget> {
    let mut targets = BTreeSet::new();
    match requests.iter().find(|request| !targets.insert(&request.target)) {
        Some(request) => Err(DuplicateTarget(request.source.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(source: &str, target: &str, mode: u32) -> GrantRequest {
        let [source, target, own] = [source, target, ""].map(str::to_owned);
        GrantRequest { source, target, uid: own.clone(), gid: own, mode, version: String::new() }
    }

    #[test]
    fn a_grant_is_a_name_or_a_list_of_fields() {
        for (text, expected) in [
            ("db", request("db", "db", 0o444)),
            ("source=db", request("db", "db", 0o444)),
            ("SRC=db,Target=pw", request("db", "pw", 0o444)),
            ("source=db,target=a=b", request("db", "a=b", 0o444)),
            ("source=db,target=", request("db", "db", 0o444)),
            ("source=db,mode=0440", request("db", "db", 0o440)),
            ("source=db,mode=440", request("db", "db", 0o670)),
            ("source=db,mode=0x1ff", request("db", "db", 0o777)),
            ("source=db,mode=0o400", request("db", "db", 0o400)),
            ("source=db,mode=0b100", request("db", "db", 0o4)),
            ("source=db,mode=0", request("db", "db", 0)),
        ] {
            assert_eq!(parse(text), Ok(expected), "--secret {text}");
        }
    }

    #[test]
    fn a_version_stands_behind_the_name_and_not_in_the_target() {
        for (text, target, version) in [
            ("db@3", "db", "3"),
            ("source=db@3", "db", "3"),
            ("source=db@blue,target=a@b", "a@b", "blue"),
            ("target=pw,src=db@current", "pw", "current"),
            ("db@3@4", "db", "3@4"),
        ] {
            let expected =
                GrantRequest { version: version.to_owned(), ..request("db", target, 0o444) };
            assert_eq!(parse(text), Ok(expected), "--secret {text}");
        }
    }

    #[test]
    fn owner_and_group_are_kept_as_they_are_typed() {
        let parsed = parse("source=db,uid=1000,gid=users").unwrap();
        assert_eq!((parsed.uid.as_str(), parsed.gid.as_str()), ("1000", "users"));
    }

    #[test]
    fn a_wrong_grant_is_refused_in_swarms_words() {
        for (text, expected) in [
            ("source=db,x", "invalid field 'x' must be a key=value pair"),
            ("db,target=x", "invalid field 'db' must be a key=value pair"),
            ("=db", "invalid field '=db' must be a key=value pair"),
            ("source=db,", "invalid field '' must be a key=value pair"),
            ("source=db,bogus=1", "invalid field in secret request: bogus"),
            ("target=x", "source is required"),
            ("source=", "source is required"),
            ("", "source is required"),
            ("@3", "source is required"),
            (
                "db@",
                "the version behind '@' is missing in 'db@'; it is a number or a label, as in db@3",
            ),
            (
                "source=a,mode=rw",
                "invalid mode specified: strconv.ParseUint: parsing \"rw\": invalid syntax",
            ),
            (
                "source=a,mode=",
                "invalid mode specified: strconv.ParseUint: parsing \"\": invalid syntax",
            ),
            (
                "source=a,mode=-1",
                "invalid mode specified: strconv.ParseUint: parsing \"-1\": invalid syntax",
            ),
            (
                "source=a,mode=0+4",
                "invalid mode specified: strconv.ParseUint: parsing \"0+4\": invalid syntax",
            ),
            (
                "source=a,mode=089",
                "invalid mode specified: strconv.ParseUint: parsing \"089\": invalid syntax",
            ),
            (
                "source=a,mode=4294967296",
                "invalid mode specified: strconv.ParseUint: parsing \"4294967296\": value out of range",
            ),
        ] {
            let refused = parse(text).map_err(|error| error.to_string());
            assert_eq!(refused, Err(expected.to_owned()), "--secret {text}");
        }
    }

    #[test]
    fn two_grants_of_one_target_are_refused() {
        let [a, b] = [request("a", "x", 0o444), request("b", "x", 0o444)];
        let apart = request("a", "y", 0o444);
        assert_eq!(refuse_duplicates(&[a.clone(), apart]), Ok(()));
        let refused = refuse_duplicates(&[a, b]).unwrap_err();
        assert_eq!(refused.to_string(), "duplicate secret target for b not allowed");
    }
}
