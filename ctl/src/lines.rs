//! How things that come one by one are shown: a plain line, JSON, or a template for each.

use serde_json::Value;

use crate::template::Facts;
use crate::template::Template;
use crate::template::TemplateError;

/// How each line is to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    Plain,
    Json,
    Filled(Template),
}

impl LineFormat {
    /// Reads `--format`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, TemplateError> {
        match text.map(str::trim) {
            None | Some("") => Ok(Self::Plain),
            Some("json") => Ok(Self::Json),
            Some(template) => {
                let template = template.replace("\\t", "\t").replace("\\n", "\n");
                Template::parse(&template).map(Self::Filled)
            }
        }
    }

    /// One line without its end.
    pub(crate) fn render(
        &self,
        fields: &Value,
        plain: impl FnOnce() -> String,
    ) -> Result<String, TemplateError> {
        match self {
            Self::Plain => Ok(plain()),
            Self::Json => Ok(fields.to_string()),
            Self::Filled(template) => template.render(&Facts { fields, labels: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_shown_in_the_form_that_was_asked_for() {
        for (format, expected) in [
            (None, "plain"),
            (Some(""), "plain"),
            (Some("json"), "{\"ID\":\"x\",\"Index\":7}"),
            (Some("{{.ID}}\\t{{.Index}}"), "x\t7"),
        ] {
            let fields = json!({"ID": "x", "Index": 7});
            let line = LineFormat::parse(format)
                .and_then(|format| format.render(&fields, || "plain".to_owned()));
            assert_eq!(line, Ok(expected.to_owned()), "format {format:?}");
        }
    }
}
