//! The part of Go's templates that `--format` is used for: fields, `.Label "key"`, `index`, `json`.
//!
//! Everything else is refused in words. Nothing is evaluated but a look-up.

use serde_json::Value;

use crate::objects::Labels;

/// A parsed format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Path),
    Json(Path),
    Index(Path, String),
    Label(String),
}

/// The names of `.A.B`; none for a lone dot.
#[derive(Debug, PartialEq, Eq)]
struct Path(Vec<String>);

/// Why a format cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("template parsing error: unclosed action after '{0}'")]
    Unclosed(String),
    #[error(
        "template parsing error: '{{{{{0}}}}}' is not understood: use {{{{.Field}}}}, {{{{.Label \"key\"}}}}, \
         {{{{index .Field \"key\"}}}}, {{{{json .}}}} and plain text"
    )]
    NotUnderstood(String),
    #[error("template: there is no field {path}; try {known}")]
    NoField { path: String, known: String },
    #[error("template: .Label is for lists; use {{{{index .Spec.Labels \"key\"}}}}")]
    NoLabels,
}

/// What a template is filled from.
pub(crate) struct Facts<'a> {
    pub(crate) fields: &'a Value,
    /// What `.Label` looks into, where there is such a thing.
    pub(crate) labels: Option<&'a Labels>,
}

impl Template {
    /// Reads a format.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, tail)) = rest.split_once("{{") {
            parts.push(Part::Literal(literal.to_owned()));
            let unclosed = || TemplateError::Unclosed(literal.to_owned());
            let (action, tail) = tail.split_once("}}").ok_or_else(unclosed)?;
            let part = parse_action(action.trim());
            parts.push(part.ok_or_else(|| TemplateError::NotUnderstood(action.to_owned()))?);
            rest = tail;
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Fills the template.
    pub(crate) fn render(&self, facts: &Facts<'_>) -> Result<String, TemplateError> {
        self.0.iter().map(|part| render_part(part, facts)).collect()
    }
}

fn parse_action(action: &str) -> Option<Part> {
    if let Some(path) = after_word(action, "json") {
        return parse_path(path).map(Part::Json);
    }
    if let Some(key) = after_word(action, ".Label") {
        return parse_quoted(key).map(Part::Label);
    }
    if let Some(arguments) = after_word(action, "index") {
        let (path, key) = arguments.split_once(char::is_whitespace)?;
        return Some(Part::Index(parse_path(path)?, parse_quoted(key.trim())?));
    }
    parse_path(action).map(Part::Field)
}

fn after_word<'a>(action: &'a str, word: &str) -> Option<&'a str> {
    let rest = action.strip_prefix(word)?;
    rest.starts_with(char::is_whitespace).then(|| rest.trim())
}

fn parse_path(text: &str) -> Option<Path> {
    let names = text.strip_prefix('.')?;
    if names.is_empty() {
        return Some(Path(Vec::new()));
    }
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    names.split('.').all(is_name).then(|| Path(names.split('.').map(str::to_owned).collect()))
}

/// A Go string is read as JSON's, which has the same quotes and the common escapes.
fn parse_quoted(text: &str) -> Option<String> {
    match text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        Some(raw) => Some(raw.to_owned()),
        None => serde_json::from_str(text).ok(),
    }
}

fn render_part(part: &Part, facts: &Facts<'_>) -> Result<String, TemplateError> {
    Ok(match part {
        Part::Literal(text) => text.clone(),
        Part::Field(path) => plain(path.find(facts.fields)?),
        Part::Json(path) => path.find(facts.fields)?.to_string(),
        Part::Index(path, key) => {
            path.find(facts.fields)?.get(key.as_str()).map(plain).unwrap_or_default()
        }
        Part::Label(key) => {
            let labels = facts.labels.ok_or(TemplateError::NoLabels)?;
            labels.get(key).cloned().unwrap_or_default()
        }
    })
}

impl Path {
    fn find<'a>(&self, fields: &'a Value) -> Result<&'a Value, TemplateError> {
        self.0.iter().try_fold(fields, |value, name| {
            value.get(name).ok_or_else(|| TemplateError::NoField {
                path: format!(".{}", self.0.join(".")),
                known: known_fields(value),
            })
        })
    }
}

fn known_fields(value: &Value) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.keys().map(|name| format!(".{name}")).collect::<Vec<_>>().join(" ")
        }
        _ => "{{json .}}".to_owned(),
    }
}

/// A value in the form that Go prints.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" "))
        }
        Value::Object(fields) => {
            let mut pairs: Vec<_> =
                fields.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(format: &str) -> Result<String, TemplateError> {
        let fields = json!({
            "ID": "abc", "Name": "db", "Version": {"Index": 7}, "Empty": {},
            "Spec": {"Labels": {"b": "2", "a": "1"}, "Env": ["x", "y"]}, "Self": true, "No": null,
        });
        let labels = Labels::from([("env".to_owned(), "prod".to_owned())]);
        Template::parse(format)?.render(&Facts { fields: &fields, labels: Some(&labels) })
    }

    #[test]
    fn a_format_is_filled_from_fields_and_labels() {
        for (format, expected) in [
            ("", ""),
            ("plain }} text", "plain }} text"),
            ("{{.ID}}", "abc"),
            ("{{ .ID }}: {{.Name}}!", "abc: db!"),
            ("{{.Version.Index}}", "7"),
            ("{{.Label \"env\"}}", "prod"),
            ("{{.Label `env`}}", "prod"),
            ("{{.Label \"none\"}}", ""),
            ("{{.Spec.Labels}}", "map[a:1 b:2]"),
            ("{{index .Spec.Labels \"a\"}}", "1"),
            ("{{index .Spec.Labels \"none\"}}", ""),
            ("{{.Spec.Env}}", "[x y]"),
            ("{{json .Version}}", "{\"Index\":7}"),
            ("{{json .Name}}", "\"db\""),
            ("{{.Self}} {{.No}} {{.Empty}}", "true <no value> map[]"),
        ] {
            assert_eq!(filled(format), Ok(expected.to_owned()), "format {format:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for format in [
            "{{if .ID}}x{{end}}",
            "{{.ID | upper}}",
            "{{ID}}",
            "{{}}",
            "{{.ID.}}",
            "{{..}}",
            "{{range .}}{{end}}",
            "{{.Label env}}",
            "{{json}}",
            "{{index .ID}}",
            "{{- .ID}}",
        ] {
            let refused = matches!(filled(format), Err(TemplateError::NotUnderstood(_)));
            assert!(refused, "format {format:?} gave {:?}", filled(format));
        }
    }

    #[test]
    fn an_unclosed_action_is_refused() {
        assert_eq!(filled("id {{.ID"), Err(TemplateError::Unclosed("id ".to_owned())));
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_known_ones() {
        let refused = filled("{{.Version.Number}}").unwrap_err().to_string();
        assert_eq!(refused, "template: there is no field .Version.Number; try .Index");
        let refused = filled("{{.ID.Deep}}").unwrap_err().to_string();
        assert_eq!(refused, "template: there is no field .ID.Deep; try {{json .}}");
    }

    #[test]
    fn a_refusal_shows_what_can_be_written() {
        let refused = filled("{{if .X}}").unwrap_err().to_string();
        assert_eq!(
            refused,
            "template parsing error: '{{if .X}}' is not understood: use {{.Field}}, \
             {{.Label \"key\"}}, {{index .Field \"key\"}}, {{json .}} and plain text"
        );
    }
}
