//! Labels of versions, and what they point to. Most objects have one label, `current`: it takes no memory of
//! its own, and few labels take little.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::limits::NAME_BYTES_MAX;

/// The label of a version: `current`, `previous`, `pending`, or the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionLabel(Text);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Current,
    Previous,
    Pending,
    /// None of the three above.
    Own(Box<str>),
}

/// Text that is no label of a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionLabelError {
    #[error("a version's label has 1 to 64 characters [a-zA-Z0-9-_.] and is not a number")]
    Form,
    #[error("the label {0} is set by create, rotate, activate and rollback, not by hand")]
    Reserved(VersionLabel),
}

impl VersionLabel {
    /// The version that tasks read.
    pub fn current() -> Self {
        Self(Text::Current)
    }

    /// The version that they read before.
    pub fn previous() -> Self {
        Self(Text::Previous)
    }

    /// A version that waits to be activated.
    pub fn pending() -> Self {
        Self(Text::Pending)
    }

    /// Takes any label.
    pub fn parse(text: &str) -> Result<Self, VersionLabelError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() > NAME_BYTES_MAX || is_number || !text.bytes().all(fits) {
            return Err(VersionLabelError::Form);
        }
        let reserved = [Self::current(), Self::previous(), Self::pending()];
        let known = reserved.into_iter().find(|label| label.as_str() == text);
        Ok(known.unwrap_or_else(|| Self(Text::Own(text.into()))))
    }

    /// Takes a label that a user may set.
    pub fn parse_own(text: &str) -> Result<Self, VersionLabelError> {
        let label = Self::parse(text)?;
        match label.0 {
            Text::Own(_) => Ok(label),
            Text::Current | Text::Previous | Text::Pending => {
                Err(VersionLabelError::Reserved(label))
            }
        }
    }

    /// The label's text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Current => "current",
            Text::Previous => "previous",
            Text::Pending => "pending",
            Text::Own(text) => text,
        }
    }
}

impl Ord for VersionLabel {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for VersionLabel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for VersionLabel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

static CURRENT: VersionLabel = VersionLabel(Text::Current);

/// Labels, each with the number of the version that it points to. Most objects have `current` alone, which
/// takes no room of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    current: Option<NonZeroU32>,
    /// The other labels, ordered, each once; nothing in place of an empty list. Not a map: a map's first
    /// entry takes room for ten more. A list behind a pointer, which is half as long as the list.
    others: Option<Arc<Vec<(VersionLabel, u32)>>>,
}

impl Tags {
    /// The number that a label points to.
    pub fn get(&self, label: &VersionLabel) -> Option<u32> {
        self.iter().find(|(known, _)| *known == label).map(|(_, number)| number)
    }

    /// Lets a label point to a version, and to no other. Versions are counted from 1.
    pub fn insert(&mut self, label: VersionLabel, number: u32) {
        *self = self.pairs().chain([(label, number)]).collect();
    }

    /// Takes a label away.
    pub fn remove(&mut self, label: &VersionLabel) {
        *self = self.pairs().filter(|(known, _)| known != label).collect();
    }

    /// Keeps the labels that point to some versions.
    pub fn retain(&mut self, is_kept: impl Fn(u32) -> bool) {
        *self = self.pairs().filter(|(_, number)| is_kept(*number)).collect();
    }

    fn pairs(&self) -> impl Iterator<Item = (VersionLabel, u32)> {
        self.iter().map(|(label, number)| (label.clone(), number))
    }

    /// All labels, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&VersionLabel, u32)> {
        let others = self.others.as_ref().map_or(&[][..], |others| others.as_slice());
        let (before, after) =
            others.split_at(others.partition_point(|(label, _)| *label < CURRENT));
        let current = self.current.map(|number| (&CURRENT, number.get()));
        before.iter().map(pair).chain(current).chain(after.iter().map(pair))
    }

    /// How many labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True without a label.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn pair((label, number): &(VersionLabel, u32)) -> (&VersionLabel, u32) {
    (label, *number)
}

impl FromIterator<(VersionLabel, u32)> for Tags {
    /// Of labels that come twice, the last one counts.
    fn from_iter<I: IntoIterator<Item = (VersionLabel, u32)>>(labels: I) -> Self {
        let (mut current, mut others) = (None, Vec::new());
        for (label, number) in labels {
            if label == CURRENT {
                current = NonZeroU32::new(number);
                continue;
            }
            others.retain(|(known, _)| *known != label);
            others.push((label, number));
        }
        others.sort_unstable();
        others.shrink_to_fit();
        Self { current, others: (!others.is_empty()).then(|| Arc::new(others)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versioned::VersionRef;

    #[test]
    fn case_3_labels_of_versions_are_words_and_not_numbers() {
        for (text, is_label, is_own) in [
            ("blue", true, true),
            ("v1.2-rc_3", true, true),
            ("current", true, false),
            ("previous", true, false),
            ("pending", true, false),
            ("", false, false),
            ("12", false, false),
            ("a b", false, false),
            ("a/b", false, false),
        ] {
            assert_eq!(VersionLabel::parse(text).is_ok(), is_label, "{text}");
            assert_eq!(VersionLabel::parse_own(text).is_ok(), is_own, "{text}");
        }
        assert_eq!(VersionRef::parse("12"), Ok(VersionRef::Number(12)));
        assert_eq!(VersionRef::parse("current"), Ok(VersionRef::Label(VersionLabel::current())));
    }

    #[test]
    fn tags_are_a_map_from_labels_to_numbers() {
        let label = |text: &str| VersionLabel::parse(text).unwrap();
        let mut tags = Tags::from_iter([(label("current"), 1), (label("blue"), 1)]);
        tags.insert(label("previous"), 1);
        tags.insert(label("current"), 2);
        let shown: Vec<_> = tags.iter().map(|(label, at)| (label.to_string(), at)).collect();
        let expected = [("blue", 1), ("current", 2), ("previous", 1)];
        assert_eq!(shown, expected.map(|(label, at)| (label.to_owned(), at)));
        assert_eq!(tags.get(&VersionLabel::current()), Some(2));
        tags.remove(&label("blue"));
        assert_eq!((tags.get(&label("blue")), tags.len()), (None, 2));
        tags.retain(|number| number == 2);
        assert_eq!(tags, Tags::from_iter([(label("current"), 1), (label("current"), 2)]));
        assert!(!tags.is_empty() && Tags::default().is_empty());
    }
}
