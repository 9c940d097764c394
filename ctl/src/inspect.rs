//! How `inspect` shows objects: a JSON array indented by four spaces, or a template for each.

use serde_json::Value;

use crate::template::Facts;
use crate::template::Template;
use crate::template::TemplateError;

const INDENT: &str = "    ";

/// How the objects are to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Indented,
    OneLine,
    Lines(Template),
}

impl Shape {
    /// Reads `--format`.
    pub(crate) fn parse(format: Option<&str>) -> Result<Self, TemplateError> {
        match format {
            None | Some("") => Ok(Self::Indented),
            Some("json") => Ok(Self::OneLine),
            Some(template) => Template::parse(template).map(Self::Lines),
        }
    }

    /// All objects as text.
    pub(crate) fn render(&self, objects: Vec<Value>) -> Result<String, TemplateError> {
        match self {
            Self::Indented => Ok(indented(&objects.into(), "") + "\n"),
            Self::OneLine => Ok(Value::from(objects).to_string() + "\n"),
            Self::Lines(template) => objects
                .iter()
                .map(|fields| Ok(template.render(&Facts { fields, labels: None })? + "\n"))
                .collect(),
        }
    }
}

/// What holds nothing stays on its line.
fn indented(value: &Value, margin: &str) -> String {
    let inner = format!("{margin}{INDENT}");
    let lines: Vec<String> = match value {
        Value::Array(items) => {
            items.iter().map(|item| format!("{inner}{}", indented(item, &inner))).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| {
                format!("{inner}{}: {}", Value::from(key.as_str()), indented(field, &inner))
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    match (lines.is_empty(), value) {
        (false, Value::Array(_)) => format!("[\n{}\n{margin}]", lines.join(",\n")),
        (false, _) => format!("{{\n{}\n{margin}}}", lines.join(",\n")),
        (true, _) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_shown_in_the_shape_that_was_asked_for() {
        let objects =
            || vec![json!({"ID": "x", "Labels": {}, "In": {"N": 1, "L": ["a\"b", true]}})];
        let indented = "[\n    {\n        \"ID\": \"x\",\n        \"Labels\": {},\n        \"In\": {\n            \
                        \"N\": 1,\n            \"L\": [\n                \"a\\\"b\",\n                true\n            \
                        ]\n        }\n    }\n]\n";
        for (format, expected) in [
            (None, indented),
            (
                Some("json"),
                "[{\"ID\":\"x\",\"Labels\":{},\"In\":{\"N\":1,\"L\":[\"a\\\"b\",true]}}]\n",
            ),
            (Some("{{.In.N}}"), "1\n"),
        ] {
            let shown = Shape::parse(format).and_then(|shape| shape.render(objects()));
            assert_eq!(shown, Ok(expected.to_owned()), "format {format:?}");
        }
    }

    #[test]
    fn nothing_found_is_an_empty_array() {
        assert_eq!(Shape::Indented.render(Vec::new()), Ok("[]\n".to_owned()));
    }
}
