//! A list as `ls` and `ps` show it: a table, bare IDs, JSON lines, or a template for each row.

use serde_json::Map;
use serde_json::Value;

use crate::objects::Labels;
use crate::table;
use crate::template::Facts;
use crate::template::Template;
use crate::template::TemplateError;

/// One column of a list.
pub(crate) struct Column {
    /// The name in a template.
    pub(crate) field: &'static str,
    /// The name above the column.
    pub(crate) header: &'static str,
    /// Whether the plain table shows it.
    pub(crate) is_shown: bool,
}

/// A column of the plain table.
pub(crate) const fn shown(field: &'static str, header: &'static str) -> Column {
    Column { field, header, is_shown: true }
}

/// A column for templates only.
pub(crate) const fn hidden(field: &'static str, header: &'static str) -> Column {
    Column { field, header, is_shown: false }
}

/// One row: a cell for each column, and what `.Label` looks into.
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    pub(crate) labels: Labels,
    /// What follows the ID in the plain table, such as the mark of the own node.
    pub(crate) mark: &'static str,
}

/// A list; the first column is the ID.
pub(crate) struct Listing {
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Row>,
}

/// How a list is to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Ids,
    Json,
    Lines(Template),
    TableOf(String),
}

impl Format {
    /// Reads `--format` and `-q`; a template of one's own wins over `-q`.
    pub(crate) fn parse(text: Option<&str>, quiet: bool) -> Result<Self, TemplateError> {
        let text = text.unwrap_or("table").replace("\\t", "\t").replace("\\n", "\n");
        match text.trim() {
            "" | "table" if quiet => Ok(Self::Ids),
            "" | "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            other => match other.strip_prefix("table ") {
                Some(_) if quiet => Ok(Self::Ids),
                Some(cells) => Template::parse(cells).map(|_| Self::TableOf(cells.to_owned())),
                None => Template::parse(&text).map(Self::Lines),
            },
        }
    }
}

impl Listing {
    /// The whole list as text.
    pub(crate) fn render(&self, format: &Format) -> Result<String, TemplateError> {
        match format {
            Format::Table => Ok(self.table()),
            Format::Ids => Ok(self
                .rows
                .iter()
                .filter_map(|row| row.cells.first())
                .fold(String::new(), |ids, id| ids + id + "\n")),
            Format::Json => self.lines(&Template::parse("{{json .}}")?),
            Format::Lines(template) => self.lines(template),
            Format::TableOf(cells) => self.table_of(cells),
        }
    }

    fn table(&self) -> String {
        let visible = |cells: Vec<String>| -> Vec<String> {
            let pairs = cells.into_iter().zip(self.columns);
            pairs.filter(|(_, column)| column.is_shown).map(|(cell, _)| cell).collect()
        };
        let header = self.columns.iter().map(|column| column.header.to_owned()).collect();
        let rows = self.rows.iter().map(|row| {
            let mut cells = row.cells.clone();
            if let Some(id) = cells.first_mut() {
                id.push_str(row.mark);
            }
            visible(cells)
        });
        table::layout(&std::iter::once(visible(header)).chain(rows).collect::<Vec<_>>())
    }

    fn lines(&self, template: &Template) -> Result<String, TemplateError> {
        let lines = self.rows.iter().map(|row| Ok(self.fill(template, row)? + "\n"));
        lines.collect()
    }

    /// `table TEMPLATE`: the template with the columns' names is the header.
    fn table_of(&self, cells: &str) -> Result<String, TemplateError> {
        let template = Template::parse(cells)?;
        let names = self.columns.iter().map(|column| (column.field, column.header));
        let fields: Map<String, Value> =
            names.map(|(field, header)| (field.to_owned(), header.into())).collect();
        let header =
            template.render(&Facts { fields: &fields.into(), labels: Some(&Labels::new()) })?;
        let rows = self.rows.iter().map(|row| self.fill(&template, row));
        let split = |line: String| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<_> = std::iter::once(Ok(header)).chain(rows).collect::<Result<_, _>>()?;
        Ok(table::layout(&lines.into_iter().map(split).collect::<Vec<_>>()))
    }

    /// Fields stand in the order of their names, as Go's JSON has them.
    fn fill(&self, template: &Template, row: &Row) -> Result<String, TemplateError> {
        let mut pairs: Vec<_> = self.columns.iter().zip(&row.cells).collect();
        pairs.sort_by_key(|(column, _)| column.field);
        let fields: Map<String, Value> = pairs
            .into_iter()
            .map(|(column, cell)| (column.field.to_owned(), cell.as_str().into()))
            .collect();
        template.render(&Facts { fields: &fields.into(), labels: Some(&row.labels) })
    }
}

/// Labels in one cell: `a=b,env=prod`.
pub(crate) fn labels_cell(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[shown("ID", "ID"), shown("Name", "NAME"), hidden("Labels", "LABELS")];

    fn listing() -> Listing {
        let row = |id: &str, name: &str, mark| {
            let labels = Labels::from([("env".to_owned(), name.to_owned())]);
            let cells = vec![id.to_owned(), name.to_owned(), labels_cell(&labels)];
            Row { cells, labels, mark }
        };
        Listing { columns: COLUMNS, rows: vec![row("1", "a", " *"), row("2", "b", "")] }
    }

    #[test]
    fn a_list_is_shown_in_the_form_that_was_asked_for() {
        for (format, quiet, expected) in [
            (None, false, "ID        NAME\n1 *       a\n2         b\n"),
            (Some("table"), false, "ID        NAME\n1 *       a\n2         b\n"),
            (None, true, "1\n2\n"),
            (Some("{{.Name}}"), true, "a\nb\n"),
            (Some("{{.Name}}\\t{{.Label \"env\"}}"), false, "a\ta\nb\tb\n"),
            (Some("table {{.Name}}\\t{{.ID}}"), false, "NAME      ID\na         1\nb         2\n"),
            (
                Some("json"),
                false,
                "{\"ID\":\"1\",\"Labels\":\"env=a\",\"Name\":\"a\"}\n\
                 {\"ID\":\"2\",\"Labels\":\"env=b\",\"Name\":\"b\"}\n",
            ),
        ] {
            let rendered =
                Format::parse(format, quiet).and_then(|format| listing().render(&format));
            assert_eq!(rendered, Ok(expected.to_owned()), "format {format:?}, quiet {quiet}");
        }
    }

    #[test]
    fn a_wrong_template_is_refused_even_for_an_empty_table() {
        let refused = Format::parse(Some("table {{if .X}}"), false).unwrap_err();
        assert_eq!(refused, TemplateError::NotUnderstood("if .X".to_owned()));
    }

    #[test]
    fn an_empty_table_has_its_header() {
        let empty = Listing { columns: COLUMNS, rows: Vec::new() };
        assert_eq!(empty.render(&Format::Table), Ok("ID        NAME\n".to_owned()));
    }
}
