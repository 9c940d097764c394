//! Labels of an object: the user's own words, bounded as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits::LABEL_BYTES_MAX;

/// Labels that are too many.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("labels have {bytes} bytes, at most {LABEL_BYTES_MAX} are kept")]
pub struct LabelsError {
    bytes: usize,
}

static NONE: BTreeMap<String, String> = BTreeMap::new();

/// Key and value pairs, ordered by key. Most objects have none: those take one word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(
    /// Never an empty map.
    Option<Arc<BTreeMap<String, String>>>,
);

impl Labels {
    /// Takes labels whose keys and values fit the bound together.
    pub fn parse(labels: BTreeMap<String, String>) -> Result<Self, LabelsError> {
        let sizes = labels.iter().map(|(key, value)| key.len().saturating_add(value.len()));
        let bytes = sizes.fold(0_usize, usize::saturating_add);
        if bytes > LABEL_BYTES_MAX {
            return Err(LabelsError { bytes });
        }
        Ok(Self((!labels.is_empty()).then(|| Arc::new(labels))))
    }

    /// The pairs, ordered by key.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_kept_up_to_their_bound_and_no_further() {
        let of = |bytes| Labels::parse([("key".to_owned(), "v".repeat(bytes - 3))].into());
        let most = of(LABEL_BYTES_MAX).unwrap();
        assert_eq!(most.as_map()["key"].len(), LABEL_BYTES_MAX - 3);
        let bytes = LABEL_BYTES_MAX + 1;
        assert_eq!(of(bytes), Err(LabelsError { bytes }));
    }
}
