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
