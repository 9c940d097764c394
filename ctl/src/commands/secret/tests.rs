//! Tables for what `coffer secret` shows and which secrets its filters let through.

use super::*;
use crate::objects::Labels;
use crate::objects::Meta;

fn secret(id: &str, name: &str, labels: &[(&str, &str)]) -> Secret {
    let at = 1_795_206_672_518_797_996;
    let labels: Labels =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let meta = Meta { id: id.to_owned(), version_index: 11, created_at: at, updated_at: at };
    Secret { meta, name: name.to_owned(), labels }
}

fn pairs(filters: &[(&str, &str)]) -> Vec<(String, String)> {
    filters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn names_and_ids_are_alternatives_and_labels_all_have_to_fit() {
    let candidate = secret("abc123", "Db.main", &[("env", "prod"), ("old", "")]);
    for (filters, expected) in [
        (&[][..], true),
        (&[("id", "abc")], true),
        (&[("id", "bc")], false),
        (&[("name", "db")], true),
        (&[("name", "main")], false),
        (&[("id", "zzz"), ("name", "DB")], true),
        (&[("label", "env")], true),
        (&[("label", "env=prod")], true),
        (&[("label", "env=dev")], false),
        (&[("label", "old")], true),
        (&[("label", "env=prod"), ("label", "none")], false),
        (&[("name", "db"), ("label", "none")], false),
    ] {
        let parsed = Filters::parse(pairs(filters)).unwrap();
        assert_eq!(parsed.accept(&candidate), expected, "filters {filters:?}");
    }
}

#[test]
fn an_unknown_filter_is_refused() {
    let refused = Filters::parse(pairs(&[("bogus", "1")]));
    assert_eq!(refused, Err(SecretError::UnknownFilter("bogus".to_owned())));
}

#[test]
fn a_secret_is_inspected_with_swarms_fields_in_swarms_order() {
    assert_eq!(
        json_object(&secret("i", "n", &[])).to_string(),
        "{\"ID\":\"i\",\"Version\":{\"Index\":11},\"CreatedAt\":\"2026-11-20T20:31:12.518797996Z\",\
         \"UpdatedAt\":\"2026-11-20T20:31:12.518797996Z\",\"Spec\":{\"Name\":\"n\",\"Labels\":{}}}"
    );
}

#[test]
fn the_pretty_form_lists_labels_only_where_there_are_any() {
    let time = "2026-11-20 20:31:12.518797996 +0000 utc";
    let end =
        format!("Driver:            \nCreated at:        {time}\nUpdated at:        {time}\n");
    let start = "ID:              i\nName:              n\n";
    assert_eq!(pretty_text(&secret("i", "n", &[])), format!("{start}{end}"));
    assert_eq!(
        pretty_text(&secret("i", "n", &[("a", "b"), ("c", "")])),
        format!("{start}Labels:\n - a=b\n - c\n{end}")
    );
}

#[test]
fn a_row_shows_ages() {
    let now = 1_795_206_672_518_797_996 + 16_000_000_000;
    let table = Listing { columns: COLUMNS, rows: vec![row(secret("i", "n", &[]), now)] };
    assert_eq!(
        table.render(&Format::Table).unwrap(),
        "ID        NAME      DRIVER    CREATED          UPDATED\n\
         i         n                   16 seconds ago   16 seconds ago\n"
    );
}
