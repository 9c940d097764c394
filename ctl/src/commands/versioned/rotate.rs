//! `rotate`: the next version of one object or of several, which then change as one.

use std::path::Path;

use super::VersionedError;
use crate::args::RotateArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::host::Host;
use crate::objects::Class;
use crate::objects::Rotation;
use crate::out;
use crate::plaintext::Plaintext;

const STDIN: &str = "-";

/// Rotates, and prints the number that each object got.
pub(super) async fn rotate(host: &Host, class: Class, args: RotateArgs) -> Result<(), Failure> {
    let sources = parse_sources(class, &args.typed)?;
    if args.if_version.is_some() && sources.len() > 1 {
        return Err(VersionedError::ExpectedOfMany(class).into());
    }
    let mut values = Vec::new();
    for (name, file) in &sources {
        let value = Plaintext::obtain(class, name, file.map(Path::new))?;
        values.push(((*name).to_owned(), value));
    }
    let rotation =
        Rotation { is_active: args.activate, label: args.label, expected: args.if_version };
    let numbers = Client::connect(host).await?.rotate_values(class, values, rotation).await?;
    let lines = sources.iter().zip(numbers);
    Ok(out::text(lines.map(|((name, _), number)| line(name, number)).collect::<String>())?)
}

/// What is printed of one object.
pub(crate) fn line(name: &str, number: u32) -> String {
    format!("{name} version {number}\n")
}

/// Names with their files: `NAME FILE`, a lone `NAME`, or `NAME=FILE` for each. No name has a `=`.
fn parse_sources(
    class: Class,
    typed: &[String],
) -> Result<Vec<(&str, Option<&str>)>, VersionedError> {
    let sources = match typed {
        [name] if !name.contains('=') => vec![(name.as_str(), None)],
        [name, file] if !name.contains('=') => vec![(name.as_str(), Some(file.as_str()))],
        [first, ..] if !first.contains('=') => return Err(VersionedError::RotateForm(class)),
        pairs => pairs.iter().map(|pair| parse_pair(pair)).collect::<Result<_, _>>()?,
    };
    match sources.iter().filter(|(_, file)| *file == Some(STDIN)).count() {
        0 | 1 => Ok(sources),
        times => Err(VersionedError::StdinTwice(times)),
    }
}

fn parse_pair(pair: &str) -> Result<(&str, Option<&str>), VersionedError> {
    match pair.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name, Some(file))),
        _ => Err(VersionedError::RotatePair(pair.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_stand_with_their_files() {
        let pair = |text: &str| Err(VersionedError::RotatePair(text.to_owned()));
        let form = || Err(VersionedError::RotateForm(Class::Secret));
        for (typed, expected) in [
            (&["a"][..], Ok(vec![("a", None)])),
            (&["a", "f"], Ok(vec![("a", Some("f"))])),
            (&["a", "-"], Ok(vec![("a", Some("-"))])),
            (&["a", "b=f"], Ok(vec![("a", Some("b=f"))])),
            (&["a=f"], Ok(vec![("a", Some("f"))])),
            (&["a=f=g", "b=-"], Ok(vec![("a", Some("f=g")), ("b", Some("-"))])),
            (&["a", "f", "g"], form()),
            (&["a", "f", "b=g"], form()),
            (&["a=f", "b"], pair("b")),
            (&["a=f", "b="], pair("b=")),
            (&["=f"], pair("=f")),
            (&["a=-", "b=f", "c=-"], Err(VersionedError::StdinTwice(2))),
        ] {
            let typed: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(parse_sources(Class::Secret, &typed), expected, "{typed:?}");
        }
    }
}
