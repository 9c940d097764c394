//! `inspect`: Swarm's fields in Swarm's order, then the versions and whose tasks hold them. A config is
//! shown with its value.

use serde_json::Value;
use serde_json::json;

use super::VersionedError;
use super::holders;
use crate::base64;
use crate::client::Client;
use crate::exit;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::inspect::Shape;
use crate::objects::Class;
use crate::objects::Versioned;
use crate::out;

/// Shows each object that is there, then what was wrong with the others.
pub(super) async fn inspect(
    host: &Host,
    class: Class,
    pretty: bool,
    format: Option<&str>,
    references: &[String],
) -> Result<(), Failure> {
    if pretty && format.is_some() {
        return Err(VersionedError::PrettyAndFormat.into());
    }
    let shape = Shape::parse(format)?;
    let client = Client::connect(host).await?;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for reference in references {
        match client.inspect_value(class, reference).await {
            Ok(one) => found.push(one),
            Err(error) => errors.push(error),
        }
    }
    out::text(if pretty {
        found.iter().map(|found| pretty_text(class, found)).collect()
    } else {
        shape.render(found.iter().map(|found| json_object(class, found)).collect())?
    })?;
    exit::all(errors)
}

fn json_object(class: Class, found: &Versioned) -> Value {
    let mut spec = json!({"Name": found.name, "Labels": found.labels});
    match (class, spec.as_object_mut()) {
        (Class::Config, Some(fields)) if !found.data.is_empty() => {
            fields.insert("Data".to_owned(), base64::encode(&found.data).into());
        }
        (Class::Secret | Class::Config, _) => {}
    }
    json!({
        "ID": found.meta.id,
        "Version": {"Index": found.meta.version_index},
        "CreatedAt": human::rfc3339(found.meta.created_at),
        "UpdatedAt": human::rfc3339(found.meta.updated_at),
        "Spec": spec,
        "Versions": holders::json_versions(found),
    })
}

fn pretty_text(class: Class, found: &Versioned) -> String {
    let label = |(key, value): (&String, &String)| {
        if value.is_empty() { format!(" - {key}\n") } else { format!(" - {key}={value}\n") }
    };
    let heading = if found.labels.is_empty() { "" } else { "Labels:\n" };
    let labels = found.labels.iter().map(label).fold(heading.to_owned(), |all, one| all + &one);
    let (id, name) = (&found.meta.id, &found.name);
    let versions = holders::pretty_versions(found);
    let created = human::pretty_time(found.meta.created_at);
    let updated = human::pretty_time(found.meta.updated_at);
    match class {
        Class::Secret => format!(
            "ID:              {id}\nName:              {name}\n{labels}Driver:            \n\
             Created at:        {created}\nUpdated at:        {updated}\n{versions}"
        ),
        Class::Config => format!(
            "ID:\t\t\t{id}\nName:\t\t\t{name}\n{labels}\
             Created at:            \t{created}\nUpdated at:            \t{updated}\n{versions}\
             Data:\n{}\n",
            String::from_utf8_lossy(&found.data)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Holder;
    use crate::objects::Labels;
    use crate::objects::Meta;
    use crate::objects::Version;

    fn object(labels: &[(&str, &str)]) -> Versioned {
        let at = 1_795_206_672_518_797_996;
        let labels: Labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let meta = Meta { id: "i".to_owned(), version_index: 11, created_at: at, updated_at: at };
        let data = b"a = 1\n".to_vec();
        let (name, versions) = ("n".to_owned(), Vec::new());
        Versioned { meta, name, labels, versions, holders: Vec::new(), data }
    }

    #[test]
    fn an_object_is_inspected_with_swarms_fields_in_swarms_order() {
        for (class, data) in [(Class::Secret, ""), (Class::Config, ",\"Data\":\"YSA9IDEK\"")] {
            let expected = format!(
                "{{\"ID\":\"i\",\"Version\":{{\"Index\":11}},\"CreatedAt\":\"2026-11-20T20:31:12.518797996Z\",\
                 \"UpdatedAt\":\"2026-11-20T20:31:12.518797996Z\",\"Spec\":{{\"Name\":\"n\",\"Labels\":{{}}{data}}},\"Versions\":[]}}"
            );
            assert_eq!(json_object(class, &object(&[])).to_string(), expected, "{class}");
        }
    }

    #[test]
    fn the_pretty_form_of_a_secret_lists_labels_only_where_there_are_any() {
        let time = "2026-11-20 20:31:12.518797996 +0000 utc";
        let end =
            format!("Driver:            \nCreated at:        {time}\nUpdated at:        {time}\n");
        let start = "ID:              i\nName:              n\n";
        let pretty = |labels| pretty_text(Class::Secret, &object(labels));
        assert_eq!(pretty(&[]), format!("{start}{end}"));
        let labels = "Labels:\n - a=b\n - c\n";
        assert_eq!(pretty(&[("a", "b"), ("c", "")]), format!("{start}{labels}{end}"));
    }

    #[test]
    fn the_pretty_form_of_a_config_ends_with_its_value() {
        let time = "2026-11-20 20:31:12.518797996 +0000 utc";
        assert_eq!(
            pretty_text(Class::Config, &object(&[("a", "b")])),
            format!(
                "ID:\t\t\ti\nName:\t\t\tn\nLabels:\n - a=b\nCreated at:            \t{time}\n\
                 Updated at:            \t{time}\nData:\na = 1\n\n"
            )
        );
    }

    #[test]
    fn versions_are_shown_with_their_labels_and_holders() {
        let version = |number, labels: &[&str]| Version {
            number,
            created_at: 0,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            size_bytes: 1,
        };
        let holder = |service: &str| Holder { version: 2, service: service.to_owned(), tasks: 3 };
        let found = Versioned {
            versions: vec![version(1, &[]), version(2, &["blue", "current"])],
            holders: vec![holder("web"), holder("api")],
            ..object(&[])
        };
        let json = json_object(Class::Secret, &found)["Versions"].to_string();
        let held = "[{\"Service\":\"api\",\"Tasks\":3},{\"Service\":\"web\",\"Tasks\":3}]";
        let expected = format!(
            "[{{\"Number\":1,\"Labels\":[],\"HeldBy\":[]}},\
             {{\"Number\":2,\"Labels\":[\"blue\",\"current\"],\"HeldBy\":{held}}}]"
        );
        assert_eq!(json, expected);
        let pretty = pretty_text(Class::Secret, &found);
        let lines = "Versions:\n - 1\n - 2 (blue, current), held by api (3), web (3)\n";
        assert!(pretty.ends_with(lines), "{pretty}");
    }
}
